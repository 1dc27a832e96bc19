"""Train networks of different shapes side by side; each result is the same as when alone."""

from downslope import Examples, Member, NetworkSpec, TrainingSpec, load, train
from downslope.data import Scaling, split

digits = load("digits")
scaled: Examples = Scaling.fit(digits.training, digits.max_pixel, center=0.5).apply(digits.training)
rows, held_out = split(digits.training, 0.2, seed=541)

members = [
    Member(
        network=NetworkSpec(widths=(64, units, units, 10), activation=activation),
        training=TrainingSpec(learning_rate=0.1, schedule="one_cycle", batch_size=32, epochs=10),
        seed=541,
    )
    for units in (10, 40)
    for activation in ("relu", "tanh")
]
for record in train(members, scaled.take(rows), scaled.take(held_out)):
    if record.outcome is not None:
        network = members[record.member].network
        print(f"{network.label} {network.activation}: {record.validation_accuracy:.3f}")
