"""Search a classifier for a table inside a scikit-learn pipeline, and score it on unseen rows."""

from sklearn.datasets import load_wine
from sklearn.feature_selection import VarianceThreshold
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from downslope.estimators import MLPSearchClassifier

X, y = load_wine(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, random_state=541)

search = MLPSearchClassifier(
    {"hidden_layers": [1, 2], "units": [8, 32], "learning_rate": [0.003, 0.01]},
    settings={"epochs": 40},
    trials=8,
    candidates=3,
    random_state=541,
)
pipeline = make_pipeline(VarianceThreshold(), search)
pipeline.fit(X_train, y_train)
print(f"chosen: {search.best_params_}, mean accuracy over folds {search.best_score_:.3f}")
print(f"accuracy on unseen rows: {pipeline.score(X_test, y_test):.3f}")
