from tests.evidence import evidence, pytest_addoption, pytest_configure

__all__ = ["evidence", "pytest_addoption", "pytest_configure"]
