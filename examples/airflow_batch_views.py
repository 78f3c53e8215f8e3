"""Runs a batch view as of the end of each day. Needs `evenkeel` on the workers' path."""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.operators.bash import BashOperator

with DAG(
    dag_id="evenkeel_nightly_delays",
    schedule="0 3 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=True,
    # Runs may be made in any order, and repeated.
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5)},
) as dag:
    BashOperator(
        task_id="run",
        bash_command=(
            "evenkeel run nightly_delays --dir /srv/features --json "
            "--at '{{ data_interval_end.strftime(\"%Y-%m-%dT%H:%M:%SZ\") }}'"
        ),
    )
