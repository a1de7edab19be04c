"""Writes kinds.parquet: the kinds of columns that pyarrow writes. Made with pyarrow 26.0.1."""
from decimal import Decimal
import sys
import numpy
import pyarrow as pa
import pyarrow.parquet as pq

message = pa.struct([("content", pa.string()), ("role", pa.string())])
chats = [
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}],
    [{"role": "user", "content": "How, then?"}],
    [],
    None,
]
table = pa.table({
    "d9": pa.array([Decimal("0.5"), Decimal("-12.25"), None, Decimal("0.01")], pa.decimal128(9, 2)),
    "d18": pa.array([Decimal("1.000001"), Decimal("-0.000001"), Decimal("0"), None], pa.decimal128(18, 6)),
    "d38": pa.array([Decimal("0.1234567890123456789"), Decimal("-3"), None, Decimal("7.5")], pa.decimal128(38, 19)),
    "d76": pa.array([Decimal("-0.25"), Decimal("1e20"), None, Decimal("7.5")], pa.decimal256(60, 2)),
    "half": pa.array(numpy.array([0.5, -2, numpy.nan, 6e-8], numpy.float16), pa.float16()),
    "chat": pa.array(chats, pa.list_(message)),
    "texts": pa.array([["a", None], [], ["c"], None], pa.list_(pa.string())),
    "numbers": pa.array([[1.5, 2], [3], None, [numpy.inf]], pa.list_(pa.float64())),
    "usage": pa.array([{"prompt_tokens": 3, "more": {"cached": 1}}, {"prompt_tokens": None, "more": None}, None, {"prompt_tokens": 4, "more": {"cached": None}}],
                      pa.struct([("prompt_tokens", pa.int64()), ("more", pa.struct([("cached", pa.int32())]))])),
    "nested": pa.array([[["a"]], [], None, [[]]], pa.list_(pa.list_(pa.string()))),
    "day": pa.array([0, 1, 2, 3], pa.date32()),
})
path = sys.argv[1] if len(sys.argv) > 1 else "kinds.parquet"
pq.write_table(table, path, row_group_size=3)
pq.write_table(table, path.replace(".parquet", "_v2.parquet"), data_page_version="2.0", use_dictionary=False, compression="zstd")
