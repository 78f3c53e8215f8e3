"""Card transactions with three kinds of fraud, as a Parquet file.

Follows the published description of the simulator in the "Fraud Detection Handbook" (Le Borgne,
Siblini, Lebichot, Bontempi, 2022): customers and terminals are points in a square, a customer
pays at terminals within a radius, a Poisson number of times a day, amounts around a mean of their
own. Then fraud is laid over it:

  1. every amount above 220;
  2. each day two terminals are compromised: all their transactions of 28 days;
  3. each day three customers are compromised: of their transactions of 14 days a third, with
     the amount times five.

The same arguments give the same rows. Times have seconds, so that some coincide.
"""

import argparse
import datetime
import math
import random

import pyarrow
import pyarrow.parquet

START = datetime.datetime(2018, 4, 1)
DAY = 86_400
SIDE = 100.0


class Customer:
    def __init__(self, draw, terminals, radius):
        self.x, self.y = draw.uniform(0, SIDE), draw.uniform(0, SIDE)
        self.amount_mean = draw.uniform(5, 100)
        self.per_day = draw.uniform(0, 4)
        self.terminals = [
            number
            for number, (x, y) in enumerate(terminals)
            if (x - self.x) ** 2 + (y - self.y) ** 2 < radius**2
        ]

    def amount(self, draw):
        amount = draw.gauss(self.amount_mean, self.amount_mean / 2)
        if amount < 0:
            amount = draw.uniform(0, 2 * self.amount_mean)
        return round(amount, 2)


def poisson(draw, mean):
    """Knuth's method: how many uniform factors until the product is below exp(-mean)."""
    limit, product, count = math.exp(-mean), draw.random(), 0
    while product > limit:
        product *= draw.random()
        count += 1
    return count


def purchases(draw, customers, days):
    """[time in seconds, customer, terminal, amount, scenario], by time."""
    rows = []
    for number, customer in enumerate(customers):
        if not customer.terminals:
            continue
        for day in range(days):
            for _ in range(poisson(draw, customer.per_day)):
                time = int(draw.gauss(DAY / 2, 20_000))
                if 0 < time < DAY:
                    terminal = draw.choice(customer.terminals)
                    rows.append([day * DAY + time, number, terminal, customer.amount(draw), 0])
    rows.sort(key=lambda row: row[:3])
    return rows


def commit_fraud(draw, rows, customers, terminals, days):
    by_customer, by_terminal = {}, {}
    for row in rows:
        by_customer.setdefault(row[1], []).append(row)
        by_terminal.setdefault(row[2], []).append(row)
    for row in rows:
        if row[3] > 220:
            row[4] = 1

    def within(of_one, day, length):
        return [row for row in of_one if day * DAY <= row[0] < (day + length) * DAY]

    for day in range(days):
        for terminal in draw.sample(range(terminals), min(2, terminals)):
            for row in within(by_terminal.get(terminal, []), day, 28):
                row[4] = 2
    for day in range(days):
        for customer in draw.sample(range(customers), min(3, customers)):
            candidates = within(by_customer.get(customer, []), day, 14)
            for row in draw.sample(candidates, len(candidates) // 3):
                row[3] = round(row[3] * 5, 2)
                row[4] = 3


def transactions(customers, terminals, days, seed, radius):
    """The table."""
    draw = random.Random(seed)
    places = [(draw.uniform(0, SIDE), draw.uniform(0, SIDE)) for _ in range(terminals)]
    people = [Customer(draw, places, radius) for _ in range(customers)]
    rows = purchases(draw, people, days)
    commit_fraud(draw, rows, customers, terminals, days)
    moments = [START + datetime.timedelta(seconds=row[0]) for row in rows]
    return pyarrow.table(
        {
            "transaction_id": pyarrow.array(range(len(rows)), pyarrow.int64()),
            "tx_datetime": pyarrow.array(moments, pyarrow.timestamp("us", "UTC")),
            "customer_id": pyarrow.array([row[1] for row in rows], pyarrow.int64()),
            "terminal_id": pyarrow.array([row[2] for row in rows], pyarrow.int64()),
            "tx_amount": pyarrow.array([row[3] for row in rows], pyarrow.float64()),
            "tx_fraud": pyarrow.array([int(row[4] > 0) for row in rows], pyarrow.int64()),
            "tx_fraud_scenario": pyarrow.array([row[4] for row in rows], pyarrow.int64()),
        }
    )


def write(out, customers=1_500, terminals=3_000, days=105, seed=1, radius=5.0):
    """Writes the table; how many transactions it has."""
    table = transactions(customers, terminals, days, seed, radius)
    pyarrow.parquet.write_table(table, out)
    return table.num_rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int)
    parser.add_argument("--terminals", type=int)
    parser.add_argument("--days", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--radius", type=float, help="in a square of 100 by 100")
    parser.add_argument("--out", required=True, help="the Parquet file to write")
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    print(f"{write(**given)} transactions")


if __name__ == "__main__":
    main()
