//! The cases, each with a database of its own on one server.

mod failover;
mod history;
mod mysql;
mod refusals;
mod types;

use crate::database::{Database, Product};

type Case = fn(&Database);

/// Those of a database.
pub(crate) fn of(product: Product) -> impl Iterator<Item = (&'static str, Case)> {
    let own = match product {
        Product::MariaDb => &[],
        Product::MySql => MYSQL,
    };
    // The last one of all begins everybody's log anew.
    own.iter().chain(ALL).copied()
}

const MYSQL: &[(&str, Case)] = &[
    ("every_json_is_exact", mysql::every_json_is_exact),
    ("passwords", mysql::passwords),
    ("packed_transactions", mysql::packed_transactions),
    ("rows_in_parts", mysql::rows_in_parts),
    (
        "columns_that_nobody_asks_for",
        mysql::columns_that_nobody_asks_for,
    ),
    ("the_database_is_killed", mysql::the_database_is_killed),
    ("a_replica_takes_over", failover::a_replica_takes_over),
    (
        "names_change_with_a_file",
        failover::names_change_with_a_file,
    ),
    (
        "transactions_that_are_not_there",
        failover::transactions_that_are_not_there,
    ),
    (
        "a_comparison_keeps_names",
        failover::a_comparison_keeps_names,
    ),
];

const ALL: &[(&str, Case)] = &[
    ("snapshot_then_changes", history::snapshot_then_changes),
    ("killed_again_and_again", history::killed_again_and_again),
    ("one_large_transaction", history::one_large_transaction),
    ("who_waited_is_later", history::who_waited_is_later),
    (
        "a_snapshot_is_a_difference",
        history::a_snapshot_is_a_difference,
    ),
    ("files_are_rotated", history::files_are_rotated),
    ("a_backup_goes_on", history::a_backup_goes_on),
    (
        "a_follower_compares_when_it_is_due",
        history::a_follower_compares_when_it_is_due,
    ),
    ("every_type_is_exact", types::every_type_is_exact),
    ("zero_dates", types::zero_dates),
    ("tables_that_are_altered", refusals::tables_that_are_altered),
    ("rows_that_go_untold", refusals::rows_that_go_untold),
    (
        "a_binlog_that_was_purged",
        refusals::a_binlog_that_was_purged,
    ),
    (
        "servers_that_cannot_be_followed",
        refusals::servers_that_cannot_be_followed,
    ),
    ("what_was_rolled_back", refusals::what_was_rolled_back),
    (
        "keys_that_cannot_be_read",
        refusals::keys_that_cannot_be_read,
    ),
    // The last: everybody's log begins anew.
    (
        "another_table_and_another_log",
        refusals::another_table_and_another_log,
    ),
];
