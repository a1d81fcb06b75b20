"""Pure rules of packages: no clock, no new ids, no I/O."""
