"""`pac bench`: PAC against its peers on this machine. Measured side by side in one run, because only ratios travel."""
