"""Fixtures that more than one folder of tests asks for."""

from tests.support.s3 import s3_bucket, s3_server

__all__ = ["s3_bucket", "s3_server"]
