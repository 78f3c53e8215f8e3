"""Benchmarks of tables of other systems, against a MariaDB of our own on the same machine."""

import pathlib
import shutil
import subprocess
import tempfile

import measure
import scale
from measure import ROOT

ROWS = 1_000_000
DEFINITIONS = """
CREATE ENTITY account (id BIGINT);
CREATE TABLE accounts (
  id BIGINT, owner STRING, balance DECIMAL(12, 2), visits INT, seen_at TIMESTAMP,
  op STRING, changed_at TIMESTAMP, place BIGINT,
  PRIMARY KEY (id), EVENT TIME changed_at, SEQUENCE BY (place)
) WITH (connector = 'mysql', url = 'mysql://reader@127.0.0.1:{port}', table = 'shop.accounts',
        operation = 'op', change_time = 'changed_at', change_position = 'place');
CREATE FEATURE VIEW balances ENTITY account AS SELECT id, balance FROM accounts;
"""
TABLE = """
CREATE DATABASE shop; USE shop;
CREATE TABLE accounts (id BIGINT PRIMARY KEY, owner VARCHAR(40), balance DECIMAL(12, 2), visits INT, seen_at DATETIME(3));
CREATE USER reader@'%'; GRANT REPLICATION SLAVE, BINLOG MONITOR, SELECT ON *.* TO reader@'%';
"""
FILL = """
USE shop;
INSERT INTO accounts SELECT seq, concat('owner ', seq % 1000), seq / 100, seq % 50, '2026-01-01' FROM seq_1_to_{rows};
"""
# Half as many updates, of two images each, and a tenth as many deletes.
CHANGE = """
USE shop;
UPDATE accounts SET balance = balance + 1, visits = visits + 1 WHERE id % 2 = 0;
DELETE FROM accounts WHERE id % 10 = 0;
"""


class Database:
    """A MariaDB in a folder that is deleted at the end."""

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="evenkeel-bench-")
        parent = pathlib.Path(self.temporary.name)
        # Run by root, the server is another user.
        parent.chmod(0o711)
        self.folder = parent / "mariadb"
        options = ["--max-binlog-size=1G", "--innodb-log-file-size=512M", "--innodb-buffer-pool-size=512M"]
        self.port = measure.run(ROOT / "dev/services", "start", "mariadb", self.folder, *options).strip()
        return self

    def __exit__(self, *_):
        measure.run(ROOT / "dev/services", "stop", self.folder)
        self.temporary.cleanup()

    def sql(self, text):
        command = ["mariadb", "--no-defaults", "--user=root", f"--socket={self.folder}/socket"]
        subprocess.run(command, input=text, text=True, check=True)


def capture(factor):
    """A table of MariaDB: its snapshot, then row changes from the binlog, to the durable hot tier."""
    if not shutil.which("mariadbd"):
        raise SystemExit("error: MariaDB is missing: apt-get install mariadb-server")
    rows = int(ROWS * factor)
    report = {}
    with Database() as database, scale.Store(DEFINITIONS.format(port=database.port)) as store:
        database.sql(TABLE)
        command = [ROOT / "target/release/evenkeel", "--dir", store.folder, "ingest", "accounts", "--json"]
        for name, sql, changes in (
            ("inserts", FILL.format(rows=rows), rows),
            ("updates and deletes", CHANGE, rows // 2 + rows // 10),
        ):
            if name == "inserts":
                store.begin()
                measure.run(*command)
            database.sql(sql)
            spent = measure.spent_by(command)
            spent["changes_per_second"] = changes / spent["wall_seconds"]
            report[name] = spent
        store.begin()
        spent = measure.spent_by(command)
        spent["rows_per_second"] = (rows - rows // 10) / spent["wall_seconds"]
        report["snapshot"] = spent
    return report


ALL = {"capture": capture}
