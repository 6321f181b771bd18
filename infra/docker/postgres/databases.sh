#!/bin/sh
# One database and one role for each service that keeps facts: a store has one owner.
set -eu
for name in ingestion retrieval inference feedback evaluation retraining; do
  psql --username "$POSTGRES_USER" --set ON_ERROR_STOP=1 --set name="$name" \
    --set password="$GYRE_POSTGRES_PASSWORD" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
REVOKE CONNECT ON DATABASE :"name" FROM PUBLIC;
SQL
done
