"""The features of the benchmark of reading, as Feast defines them."""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

VIEWS, FEATURES = 5, 10

user = Entity(name="user", join_keys=["user_id"], value_type=ValueType.INT64)
views = [
    FeatureView(
        name=f"v{v}",
        entities=[user],
        ttl=timedelta(days=3650),
        schema=[Field(name=f"f{v * FEATURES + i}", dtype=Float64) for i in range(FEATURES)],
        source=FileSource(path=f"data/s{v}.parquet", timestamp_field="at"),
    )
    for v in range(VIEWS)
]
# Feast finds what is bound to a name.
v0, v1, v2, v3, v4 = views
fifty = FeatureService(name="fifty", features=views)
