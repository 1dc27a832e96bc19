"""Recipes: what a whole run does, as TOML, and the stages that do it."""

from downslope.recipe import Recipe
from downslope.recipes.context import free_directory, stages_again
from downslope.recipes.loading import load_recipe, parse_recipe, shipped
from downslope.recipes.stages import needed, run_recipe
from downslope.stages import STAGES

__all__ = [
    "STAGES",
    "Recipe",
    "free_directory",
    "load_recipe",
    "needed",
    "parse_recipe",
    "run_recipe",
    "shipped",
    "stages_again",
]
