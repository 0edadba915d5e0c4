"""What an operator makes of real rows, as the stage would run it."""

from clickweave.frames import catalogue
from clickweave.frames.augment.copies import Sources
from clickweave.frames.augment.neighbours import similar_items
from clickweave.frames.augment.registry import operator


def rows_by(name, train, log, seed=0, **params):
    """The copies, in the columns of `train`."""
    chosen = operator(name)
    checked = chosen.Params(name=name, **params)
    checked.check(log)
    sources = sources_of(train, log)
    return chosen.apply(sources, chosen.fit(sources, checked, log), checked, log, seed).select(*train.columns)


def sources_of(train, log):
    """What operators read."""
    items, people = catalogue.sides(log)
    users = None if log.user is None else catalogue.from_events(train, people)
    if log.item is None:
        return Sources(train, users=users)
    table = catalogue.from_events(train, items)
    return Sources(train, table, similar_items(train, table, log), users)
