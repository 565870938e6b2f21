"""Rows of the catalogue: an UPDATE, by its signature, rights, form, prerequisites and size."""

from __future__ import annotations

from ddns.dns.codes import Ede
from ddns.dns.rows.row import Chapter, Turn, rows

ROWS = (
    *rows(
        Chapter.SIGNATURES,
        (
            "update-unsigned", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "no TSIG and no SIG(0)",
            "sign it: nothing here is writable without a key",
        ),
        (
            "signature-misplaced", "FORMERR", Ede.OTHER, Turn.FORM,
            "the signature record is not the last, or there are two",
            "the client's bug",
        ),
        (
            "tsig-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "the TSIG record does not parse, or its MAC has an impossible length",
            "the client's bug",
        ),
        (
            "tsig-key-unknown", "NOTAUTH, BADKEY", Ede.PROHIBITED, Turn.KEY,
            "no such key, revoked, or enrolled with another algorithm",
            "`ddns key list`; compare name and algorithm",
        ),
        (
            "tsig-signature-wrong", "NOTAUTH, BADSIG", Ede.PROHIBITED, Turn.KEY,
            "the secret differs, or the message was changed on its way",
            "compare the secret",
        ),
        (
            "tsig-time-wrong", "NOTAUTH, BADTIME", Ede.PROHIBITED, Turn.CLOCK,
            "the signature's time is too far from ours; the answer has our time",
            "set the sender's clock",
        ),
        (
            "tsig-mac-short", "NOTAUTH, BADTRUNC", Ede.PROHIBITED, Turn.KEY,
            "the MAC was truncated below what we take",
            "send the whole MAC",
        ),
        (
            "sig0-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "the SIG(0) record does not parse",
            "the client's bug",
        ),
        (
            "sig0-key-unknown", "NOTAUTH, BADKEY", Ede.PROHIBITED, Turn.KEY,
            "no enrolled key has this name, tag and algorithm",
            "`ddns key list`; enrol the key",
        ),
        (
            "sig0-signature-wrong", "NOTAUTH, BADSIG", Ede.PROHIBITED, Turn.KEY,
            "another private key, or the message was changed",
            "sign with the enrolled key's private half",
        ),
        (
            "sig0-time-wrong", "NOTAUTH, BADTIME", Ede.PROHIBITED, Turn.CLOCK,
            "now is outside the signature's window",
            "set the sender's clock",
        ),
        (
            "sig0-window-wide", "NOTAUTH, BADTIME", Ede.PROHIBITED, Turn.POLICY,
            "the window is longer than allowed",
            "sign for minutes, not days; `[sig0] window`",
        ),
        (
            "request-too-old", "REFUSED", Ede.PROHIBITED, Turn.CLOCK,
            "the signature ended long ago by the database's clock: this server's own clock is behind",
            "set the server's clock; sign anew",
        ),
        (
            "key-revoked", "REFUSED", Ede.PROHIBITED, Turn.KEY,
            "the key was revoked while the update waited",
            "enrol again: `ddns home invite LABEL --again`",
        ),
    ),
    *rows(
        Chapter.PERMISSION,
        (
            "update-cleartext", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "this server takes updates only over TLS, HTTPS or QUIC",
            "send it by DNS over TLS to port 853; `[update] transport` allows others",
        ),
        (
            "zone-unknown", "NOTAUTH", Ede.NOT_AUTHORITATIVE, Turn.POLICY,
            "this server does not have the zone",
            "name the zone that holds the name; `ddns zone list`",
        ),
        (
            "zone-removed", "NOTAUTH", Ede.NOT_AUTHORITATIVE, Turn.POLICY,
            "the zone was removed while the update waited",
            "ask the registry whether the zone moved",
        ),
        (
            "class-unknown", "NOTAUTH", Ede.NOT_AUTHORITATIVE, Turn.FORM,
            "the zone section's class is not IN",
            "the client's bug",
        ),
        (
            "zone-not-granted", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the key may write nothing in this zone",
            "`ddns grant add KEY ZONE`",
        ),
        (
            "name-not-granted", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "one of the names or types is outside the key's grants",
            "narrow the update, or widen the grant: `ddns grant add KEY ZONE --name NAME --types TYPES`",
        ),
        (
            "denied-by-rule", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a rule denies the name and type to this key; the sentence has its number and its reason",
            "leave it out, use a key of more assurance, or have the rule lifted; `ddns grant list`",
        ),
        (
            "too-many-for-rule", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a rule bounds how many records of the type a name may have, and the update makes more",
            "delete the old ones in the same update",
        ),
        (
            "assurance-too-low", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the grant is for keys of whose holder the registry is surer",
            "ask the registry to raise the key's assurance, or use another key",
        ),
        (
            "prerequisite-not-granted", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a key for ACME challenges alone asks about another name",
            "leave that prerequisite out",
        ),
        (
            "type-is-signers", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "RRSIG, NSEC, DNSKEY and their like are made by the signer",
            "leave them out",
        ),
        (
            "ds-at-apex", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a zone's DS belongs into the zone above",
            "update the parent",
        ),
        (
            "home-suspended", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the registry has suspended the home's updates",
            "speak to the registry; `ddns home release LABEL`",
        ),
        (
            "home-away", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the home has servers of its own, which hold its zone",
            "send updates to those; `ddns delegation return LABEL` brings the home back",
        ),
    ),
    *rows(
        Chapter.FORM,
        (
            "message-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "the message ends early, has octets too many, or a name does not parse",
            "the client's bug",
        ),
        (
            "update-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "the zone section is not one SOA entry",
            "the client's bug",
        ),
        (
            "edns-version-unknown", "BADVERS", Ede.OTHER, Turn.FORM,
            "the OPT record is of another version than 0",
            "the client's bug",
        ),
        (
            "record-malformed", "FORMERR", Ede.OTHER, Turn.FORM,
            "type, class, TTL or data of a record are not what RFC 2136 §3.2 and §3.4.1 allow",
            "the sentence names the record",
        ),
        (
            "name-outside-zone", "NOTZONE", Ede.OTHER, Turn.FORM,
            "a name is not at or below the zone's name",
            "one message per zone",
        ),
    ),
    *rows(
        Chapter.PREREQUISITES,
        (
            "name-not-in-use", "NXDOMAIN", Ede.OTHER, Turn.STATE,
            "a name that must be in use is not",
            "look again and send a new update",
        ),
        (
            "name-in-use", "YXDOMAIN", Ede.OTHER, Turn.STATE,
            "a name that must not be in use is",
            "look again and send a new update",
        ),
        (
            "rrset-missing", "NXRRSET", Ede.OTHER, Turn.STATE,
            "records that must exist do not",
            "look again and send a new update",
        ),
        (
            "rrset-exists", "YXRRSET", Ede.OTHER, Turn.STATE,
            "records that must not exist do",
            "look again and send a new update",
        ),
        (
            "rrset-differs", "NXRRSET", Ede.OTHER, Turn.STATE,
            "the records are there with other values",
            "look again and send a new update",
        ),
    ),
    *rows(
        Chapter.LIMITS,
        (
            "too-many-records", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the update has more prerequisites and operations than one may have",
            "split it; `[update] records_per_update`",
        ),
        (
            "rrset-too-long", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a name would have more records of one type than allowed",
            "delete some first; `[update] records_per_rrset`",
        ),
        (
            "rrset-too-big", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "the data of one name and type would be longer than allowed",
            "delete some first; `[update] octets_per_rrset`",
        ),
        (
            "too-many-types", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a name would have records of more types than allowed",
            "delete some first; `[update] types_per_name`",
        ),
        (
            "ttl-too-long", "REFUSED", Ede.PROHIBITED, Turn.POLICY,
            "a TTL is longer than allowed",
            "ask for a shorter one; `[update] ttl`",
        ),
    ),
)  # fmt: skip
