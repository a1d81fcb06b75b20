"""One file per group of commands. They import what is slow only when they run."""
