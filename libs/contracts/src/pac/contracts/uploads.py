"""What the gateway and packages agree on about a package on its way in."""

from typing import Final

FORM_BYTES_MAX: Final = 768 * 1024
"""Of everything in the form that is not the file: five fields of 64 KiB at most, and one read of the file ahead."""
