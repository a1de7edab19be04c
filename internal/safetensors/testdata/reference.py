"""Writes reference.safetensors with the reference implementation."""

import os

import numpy as np
from safetensors.numpy import save_file

save_file(
    {
        "i8": np.array([-1, 0, 1], np.int8),
        "u16": np.array([1, 65535], np.uint16),
        "f32": np.arange(6, dtype=np.float32).reshape(2, 3) / 2,
        "f16": np.array([1, -2, 65504, 2.0**-24], np.float16),
        "f64": np.array([1e300]),
        "i32": np.array([[-5]], np.int32),
        "u32": np.array([4_000_000_000], np.uint32),
        "i64": np.array([1, 2], np.int64),
        "u64": np.array([3], np.uint64),
        "i16": np.array([-3], np.int16),
        "u8": np.array([255], np.uint8),
        "bool": np.array([True, False, True]),
        "a.b/ü": np.zeros((0, 4), np.float32),
    },
    os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference.safetensors"),
    metadata={"format": "np <&>"},
)
