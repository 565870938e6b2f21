-- Roles and database for a PostgreSQL of your own, once, as a superuser:  psql -f roles.sql
-- The passwords are yours to choose; leave them out where peer or certificate authentication does the work.
-- What each role may do is granted by the migrations; docs/reference/database.md lists it.

CREATE ROLE ddns_owner NOSUPERUSER NOCREATEDB NOCREATEROLE LOGIN;   -- migrates and owns the tables
CREATE ROLE ddns_server NOSUPERUSER NOCREATEDB NOCREATEROLE LOGIN;  -- ddns.service
CREATE ROLE zone_signer NOSUPERUSER NOCREATEDB NOCREATEROLE LOGIN;  -- zone-signer.service
CREATE ROLE ddns_admin NOSUPERUSER NOCREATEDB NOCREATEROLE LOGIN;   -- people who run commands
CREATE ROLE ddns_web NOSUPERUSER NOCREATEDB NOCREATEROLE LOGIN;     -- the desk: enrolment and the API over HTTPS

-- The owner works as each of them while it migrates and while commands run under its name.
GRANT ddns_server, zone_signer, ddns_admin, ddns_web TO ddns_owner;

CREATE DATABASE nameplate OWNER ddns_owner ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE nameplate FROM PUBLIC;
GRANT CONNECT ON DATABASE nameplate TO ddns_server, zone_signer, ddns_admin, ddns_web;
