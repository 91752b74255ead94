import pipeline  # noqa: F401 - one thread per BLAS, set before numpy loads
from tests.evidence import evidence, pytest_addoption, pytest_configure
from tests.project import built

__all__ = ["built", "evidence", "pytest_addoption", "pytest_configure"]
