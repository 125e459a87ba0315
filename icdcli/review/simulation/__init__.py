"""A reviewer played from gold labels: how many reviewed notes bring how good a model.

`icdcli.review.simulation.run.simulate` plays it through the real store, queue, export, preparation
and training.
"""
