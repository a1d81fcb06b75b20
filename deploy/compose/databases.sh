#!/bin/sh
# A role and a database for each service; PostgreSQL's image runs this once, when its folder is new.
set -eu
for service in gateway packages deployments billing runtime_notifier; do
  variable="$(echo "$service" | tr '[:lower:]' '[:upper:]')_DATABASE_PASSWORD"
  eval "password=\$$variable"
  psql -v ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" -v name="$service" -v password="$password" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
