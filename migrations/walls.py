"""Walls between tenants: row-level security, which binds the role that faces people and programs over HTTPS.

The other roles work for every tenant. A policy that is true for all rows costs them nothing: the planner leaves it out.
"""

ALL_TENANTS = "ddns_server, zone_signer, ddns_admin"
OWN = "tenant = ddns_seen()"


def walled(table: str, see: str = OWN, make: str = "") -> str:
    """Return the SQL that lets `ddns_web` see the rows of *table* for which *see* holds, and make those of *make*.

    *make* is what *see* is unless it is given. What is seen may be changed, where it has the right, and stays seen.
    """
    make = make or see
    return f"""
ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_all_tenants ON {table} TO {ALL_TENANTS} USING (true) WITH CHECK (true);
CREATE POLICY seen_by_its_tenant ON {table} FOR SELECT TO ddns_web USING ({see});
CREATE POLICY made_by_its_tenant ON {table} FOR INSERT TO ddns_web WITH CHECK ({make});
CREATE POLICY changed_by_its_tenant ON {table} FOR UPDATE TO ddns_web USING ({see}) WITH CHECK ({see});
CREATE POLICY removed_by_its_tenant ON {table} FOR DELETE TO ddns_web USING ({make});
"""


def open_again(table: str) -> str:
    """Return the SQL that takes the wall of `walled` away again."""
    policies = ("of_all_tenants", *(f"{verb}_by_its_tenant" for verb in ("seen", "made", "changed", "removed")))
    dropped = "".join(f"DROP POLICY {policy} ON {table};\n" for policy in policies)
    return f"{dropped}ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;\n"


def only_for(role: str, functions: tuple[str, ...]) -> str:
    """Return the SQL that lets *role* alone run *functions*, besides their owner."""
    named = ", ".join(functions)
    return f"REVOKE EXECUTE ON FUNCTION {named} FROM PUBLIC;\nGRANT EXECUTE ON FUNCTION {named} TO {role};\n"
