"""Signing policies as people write them: what is read, what is refused with which sentence, what is shown again."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddns.operator import policy_words
from ddns.operator.fault import CannotDo
from ddns.store.policies import DAY, FIELDS, Policy

PAGE = Path(__file__).parents[2] / "docs/howto/signing-policies.md"
NEW = Policy("new")


def changed(*settings):
    return policy_words.changed(NEW, policy_words.read_settings(settings))


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("zsk_lifetime=90d", "zsk_lifetime", 90 * DAY),
        ("zsk-lifetime=4w", "zsk_lifetime", 28 * DAY),
        ("ksk_lifetime=never", "ksk_lifetime", 0),
        ("csk_lifetime=0", "csk_lifetime", 0),
        ("csk_lifetime=86400", "csk_lifetime", DAY),
        ("dnskey_ttl=2h", "dnskey_ttl", 7200),
        ("publish_safety=90m", "publish_safety", 5400),
        ("retire_safety=0s", "retire_safety", 0),
        ("scheme=ksk+zsk", "scheme", "ksk+zsk"),
        ("algorithm=14", "algorithm", 14),
        ("algorithm=zone", "algorithm", None),
        ("lifetime_jitter=10%", "lifetime_jitter", 0.1),
        ("lifetime_jitter=0.5", "lifetime_jitter", 0.5),
        ("vault=pkcs11:hsm-1", "vault", "pkcs11:hsm-1"),
        ("cds=never", "cds", "never"),
        ("parent_servers=192.0.2.1,[2001:db8::1]:5300", "parent_servers", ("192.0.2.1:53", "[2001:db8::1]:5300")),
        ("parent_servers=", "parent_servers", ()),
        ("refresh=3d", "refresh", 3 * DAY),
        ("validity=9d", "validity", 9 * DAY),
    ],
)
def test_a_setting_is_read(setting, key, value):
    assert getattr(changed(setting), key) == value


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["zsk_lifetime"], "'zsk_lifetime' sets nothing; write KEY=VALUE, such as zsk_lifetime=90d."),
        (["cds=never", "cds=always"], "cds stands there twice; write it once."),
        (["lifetime=90d"], "A signing policy has no lifetime; it has scheme, algorithm, csk_lifetime,"),
        (["name=other"], "A signing policy has no name;"),
        (["scheme=zsk"], "scheme: 'zsk' is not known; choose csk or ksk+zsk."),
        (["algorithm=5"], "algorithm: '5' does not sign here; choose 13 (ECDSA P-256), 15 (Ed25519)"),
        (["algorithm=013"], "algorithm: '013' does not sign here"),
        (["cds=sometimes"], "cds: 'sometimes' is not known; choose rolls, always or never."),
        (["watch=some"], "watch: 'some' is not known; choose all, targets or none."),
        (["parent_check=maybe"], "parent_check: 'maybe' is not known; choose auto or manual."),
        (["lifetime_jitter=0.51"], "lifetime_jitter: '0.51' is no part of a lifetime from 0 to 0.5; write 0.1 or 10%."),
        (["lifetime_jitter=nan"], "is no part of a lifetime"),
        (["lifetime_jitter=much"], "is no part of a lifetime"),
        (["vault=hsm"], "vault: 'hsm' is no vault; write sealed, or pkcs11: and the token's label of small letters"),
        (["vault=pkcs11:My Token"], "is no vault"),
        (["vault=pkcs11:one\n"], None),  # spaces around a value are nobody's
        (["backdate=-1"], "backdate: '-1' is no time; write 90d, 12h, 30m or a number of seconds."),
        (["backdate=1.5h"], "is no time"),
        (["backdate=never"], "is no time"),
        (["patience=30y"], "is no time"),
        (["patience=99999d"], "patience: 99999d is too long; write at most 7300d."),
        (["dnskey_ttl=31d"], "dnskey_ttl: 31d is too long; write at most 30d."),
        (["csk_lifetime=23h"], "A csk_lifetime of 23h is too short to replace keys in; write 1d or more."),
        (["zsk_lifetime=1s"], "A zsk_lifetime of 1s is too short"),
        (["refresh=71h"], "With a refresh of 71h signatures would end while a signer is away for three days"),
        (["validity=8d"], "A validity of 8d leaves too little time before signatures are made anew; write validity=9d"),
        (["jitter=8d"], "write validity=15d or more, which is jitter and twice refresh, or less of those."),
        (["parent_servers=ns1.example"], "parent_servers: 'ns1.example' is no server; write 192.0.2.1:53"),
        (["parent_servers=192.0.2.1:0"], "is no server"),
        (["parent_servers=" + ",".join(f"192.0.2.{n}" for n in range(17))], "those are 17 servers; write at most 16."),
    ],
)
def test_what_cannot_be_is_one_sentence_that_says_what_to_write(settings, says):
    if says is None:
        changed(*settings)
        return
    with pytest.raises(CannotDo) as caught:
        changed(*settings)
    assert says in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "Registry", "1st", "-x", "a" * 33, "a b", "a\n", "ä", 3, None])
def test_a_name_that_cannot_be_is_refused(name):
    with pytest.raises(CannotDo, match="is no name for a policy"):
        policy_words.read_policy_name(name)


@pytest.mark.parametrize("value", [True, 1.5, [1], {}, None])
@pytest.mark.parametrize("key", FIELDS)
def test_a_toml_file_may_not_give_another_kind_of_value(key, value):
    if key == "lifetime_jitter" and isinstance(value, float):
        value = 1.5
    with pytest.raises(CannotDo):
        policy_words.read_values({key: value})


@pytest.mark.parametrize("key", FIELDS)
def test_what_is_shown_is_read_as_the_same(key):
    for policy in (NEW, changed("algorithm=8", "zsk_lifetime=36h", "parent_servers=[::1]:5300", "lifetime_jitter=7%")):
        text = policy_words.shown(policy, key)
        assert policy_words.read_values({key: text})[key] == getattr(policy, key)
        assert policy_words.read_values({key: "default"})[key] == getattr(NEW, key)


def test_the_page_names_every_key_with_what_a_new_policy_has():
    rows = [line.split("|")[1:3] for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    said = {}
    for names, value in rows:
        for name in names.split(","):
            said[name.strip().strip("`")] = value.strip().strip("`")
    assert set(said) == set(FIELDS)
    for key, value in said.items():
        assert policy_words.read_values({key: "" if value == "none" and key == "parent_servers" else value}) == {
            key: getattr(NEW, key)
        }
