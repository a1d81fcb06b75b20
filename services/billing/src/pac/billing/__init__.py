"""Credits: grants, holds, captures and releases in a double-entry ledger."""
