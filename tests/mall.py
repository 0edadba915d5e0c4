"""A small log with every role that augment operators know."""

from clickweave.config.log import SchemaConfig

MALL_TYPE = (
    "user string, item string, ts bigint, page string, pos int, q string, click int, price double, stock int, "
    "device string, taste array<double>, category string, note string"
)
MALL = SchemaConfig.model_validate(
    {
        "user": "user", "item": "item", "event_time": {"column": "ts", "unit": "s"}, "slate": "page", "position": "pos",
        "query": "q", "labels": {"click": "click"}, "item_features": {"category": "categorical"},
        "features": {"price": "numeric", "stock": "numeric", "device": "categorical", "taste": "vector"},
    }
)  # fmt: skip
MONDAY = 1_700_438_400  # 2023-11-20 00:00 UTC


def mall_rows(num_users=12, num_slates=6):
    """Users with sessions of two slates (every fourth user has one session less); a slate is a query and three items
    shown at the same time, positions 1 to 3.

    Prices are fractions, stocks whole, both with nulls. Users of a kind (u mod 3) like the same third of 24 items.
    """
    rows = []
    for user in range(num_users):
        for slate in range(num_slates - 2 * (user % 4 == 3)):
            time = MONDAY + user * 1800 + (slate // 2) * 700_000 + slate * 60
            for place in range(3):
                number = (user * num_slates + slate) * 3 + place
                item = (user * 5 + slate * 3 + place) % 8 + (user % 3) * 8
                price = None if number % 7 == 0 else round(0.5 + (number * 37 % 100) / 3, 4)
                stock = None if number % 5 == 0 else number * 13 % 50
                taste = None if number % 11 == 0 else [float(number % 4), 1.0, float(number % 3) - 1, 0.5]
                rows.append(
                    (f"u{user}", f"i{item}", time, f"p{user}-{slate}", place + 1, f"red shoes {item % 3}",
                     int(number % 3 == 0), price, stock, ("mobile", "web")[slate % 2], taste, f"c{item // 4}",
                     f"note {number}")
                )  # fmt: skip
    return rows
