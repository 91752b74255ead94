"""Every error the pipeline raises on purpose.

::

    PipelineError            one clear message: file, rows, what was expected, what to do
    ├── RawDataError         a raw file is not what it should be
    │   ├── ManifestError      it does not match its recorded sha256, or is missing or unlisted
    │   ├── FormatError        it cannot be read: encoding, columns, separators
    │   └── ValidationError    its values break the dictionary: keys, codes, units, bounds
    ├── SpecError            a file in specs/ or params.yaml is inconsistent
    │   └── OverlapError       one series stands on both sides of an equation
    ├── CorrectionError      a declared correction no longer finds the error it mends
    ├── StoreError           a table cannot be saved: key, types, disk, an orphaned run
    ├── EstimationError      a model cannot be estimated as asked
    │   └── CollinearityError  a regressor is a combination of others; names it
    └── ReportError          a table or figure asks for a number or glyph that does not exist
"""


class PipelineError(Exception):
    """Base of all errors with a message meant for the user."""


class RawDataError(PipelineError):
    """A raw file is not what it should be."""


class ManifestError(RawDataError):
    """A raw file is missing, unlisted, or does not match its recorded sha256."""


class FormatError(RawDataError):
    """A raw file cannot be read as declared: encoding, columns, separators."""


class ValidationError(RawDataError):
    """Raw values break the dictionary: keys, codes, units, bounds."""


class SpecError(PipelineError):
    """A file in ``specs/`` or ``params.yaml`` is inconsistent."""


class OverlapError(SpecError):
    """One series stands on both sides of an equation, or in two indices."""


class CorrectionError(PipelineError):
    """A declared correction no longer finds the error that it mends."""


class StoreError(PipelineError):
    """A table cannot be saved or read: key, types, disk, an orphaned run."""


class EstimationError(PipelineError):
    """A model cannot be estimated as asked."""


class CollinearityError(EstimationError):
    """A regressor is a linear combination of other columns; the message names it."""


class ReportError(PipelineError):
    """A table or figure asks for a number or a glyph that does not exist."""
