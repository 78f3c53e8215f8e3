"""The features of the benchmark of batch results, as Feast defines them."""

from datetime import timedelta

from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
v = FeatureView(
    name="v",
    entities=[user],
    ttl=timedelta(days=3650),
    schema=[Field(name=f"f{i}", dtype=Float64) for i in range(11)],
    source=FileSource(path="data/s.parquet", timestamp_field="at"),
)
