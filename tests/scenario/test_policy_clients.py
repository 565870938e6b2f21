"""Who may write what, as clients meet it: rules, numbers, denials, assurance, and keys for certificates."""

import base64
import json
import subprocess

import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.update
import pytest
from registry import keygen, nsupdate
from service import eventually
from tools import need

REGISTRY, HOME = "reg.example.", "smith.reg.example."
SECRET = base64.b64encode(b"policy" * 6).decode()
KEYS = ("plain", "few", "own.reg.example", "deep.reg.example", "wild", "single", "trusted")
ZONE = "$TTL 300\n@ SOA ns1 hostmaster 1 7200 3600 1209600 300\n@ NS ns1\nns1 A 127.0.0.1\nkept A 192.0.2.1\n"

GRANTS = [
    '{ key = "plain." }',
    '{ key = "plain.", rule = "subdomain", name = "vault.reg.example.", deny = "the vault is closed" }',
    '{ key = "plain.", rule = "name", name = "mail.reg.example.", types = ["MX"], deny = "no mail here." }',
    '{ key = "few.", name = "few.reg.example.", types = ["A(2)", "TXT(1)", "AAAA"] }',
    '{ key = "own.reg.example.", rule = "self" }',
    '{ key = "deep.reg.example.", rule = "selfsub", types = ["A"] }',
    '{ key = "wild.", rule = "wildcard", name = "*.pool.reg.example." }',
    '{ key = "single.", rule = "name", name = "one.reg.example." }',
    '{ key = "trusted.", name = "t.reg.example.", min_assurance = "attested" }',
    '{ key = "*", rule = "name", name = "lock.reg.example.", min_assurance = "attested", deny = "locks need more" }',
    '{ key = "*", types = ["MX", "TXT(3)"], deny = "homes have no mail and little text", homes = true }',
]


def credentials(key, algorithm="hmac-sha256", secret=SECRET):
    return ["-y", f"{algorithm}:{key}:{secret}"]


@pytest.fixture(scope="module")
def policy(registry):
    """Yield the service with a registry of its own, reg.example, its keys and rules, and the home smith."""
    (registry.folder / "reg.zone").write_text(ZONE)
    tables = [f'[[key]]\nname = "{key}."\nalgorithm = "hmac-sha256"\nsecret = "{SECRET}"\n' for key in KEYS]
    zone = f'[[zone]]\nname = "{REGISTRY}"\nfile = "reg.zone"\ndenial = "none"\ngrants = [{", ".join(GRANTS)}]\n'
    registry.apply("".join([*tables, zone]))
    registry.smith = keygen(registry.folder, HOME, "ECDSAP256SHA256")
    private = next(registry.folder.glob(f"K{HOME}+*.private"))
    registry.ddns("home", "add", "smith", "--zone", REGISTRY, "--sig0", private.with_suffix(".key"))
    registry.owner = ["-k", private]
    for zone in (REGISTRY, HOME):
        eventually(lambda zone=zone: registry.values(zone, "SOA"))
    yield registry
    registry.ddns("zone", "remove", HOME)
    registry.ddns("zone", "remove", REGISTRY)


# key, lines, whether it is done
CASES = {
    "zone: anything": ("plain", ["add x.reg.example. 60 MX 1 x.reg.example.", "add a.b.reg.example. 60 TXT x"], True),
    "denied below a name": ("plain", ["add a.vault.reg.example. 60 A 192.0.2.1"], False),
    "denied in the other case": ("plain", ["add A.VAULT.reg.EXAMPLE. 60 A 192.0.2.1"], False),
    "not denied beside it": ("plain", ["add avault.reg.example. 60 A 192.0.2.1"], True),
    "a label with a dot is not below": ("plain", [r"add a\.vault.reg.example. 60 TXT x"], True),
    "denied type": ("plain", ["add mail.reg.example. 60 MX 1 x.reg.example."], False),
    "denied deletion of a type": ("plain", ["delete mail.reg.example. MX"], False),
    "another type there": ("plain", ["add mail.reg.example. 60 A 192.0.2.1"], True),
    "one denied record refuses all": ("plain", ["add y.reg.example. 60 TXT x", "delete vault.reg.example."], False),
    "as many as the number": ("few", [f"add few.reg.example. 60 A 192.0.2.{last}" for last in (1, 2)], True),
    "one more": ("few", [f"add b.few.reg.example. 60 A 192.0.2.{last}" for last in (1, 2, 3)], False),
    "one more by and by": ("few", ["add few.reg.example. 60 A 192.0.2.3"], False),
    "replaced in one update": (
        "few", ["delete few.reg.example. A 192.0.2.1", "add few.reg.example. 60 A 192.0.2.3"], True,
    ),
    "any number of others": ("few", [f"add few.reg.example. 60 AAAA 2001:db8::{last}" for last in range(9)], True),
    "a type without grant": ("few", ["add few.reg.example. 60 CAA 0 issue x"], False),
    "self": ("own.reg.example", ["add own.reg.example. 60 TXT x", "delete own.reg.example."], True),
    "below self": ("own.reg.example", ["add a.own.reg.example. 60 TXT x"], False),
    "selfsub": ("deep.reg.example", ["add a.b.deep.reg.example. 60 A 192.0.2.1", "delete deep.reg.example. A"], True),
    "selfsub of another type": ("deep.reg.example", ["add deep.reg.example. 60 TXT x"], False),
    "wildcard": ("wild", ["add a.pool.reg.example. 60 A 192.0.2.1", "add a.b.pool.reg.example. 60 TXT x"], True),
    "the asterisk itself": ("wild", ["add *.pool.reg.example. 60 A 192.0.2.1"], True),
    "the name above the pattern": ("wild", ["add pool.reg.example. 60 A 192.0.2.1"], False),
    "name": ("single", ["add one.reg.example. 60 A 192.0.2.1", "delete one.reg.example."], True),
    "below the name": ("single", ["add a.one.reg.example. 60 A 192.0.2.1"], False),
    "the apex": ("single", ["add reg.example. 60 TXT x"], False),
    "too little assurance": ("trusted", ["add t.reg.example. 60 A 192.0.2.1"], False),
    "denied to all of little assurance": ("plain", ["add lock.reg.example. 60 A 192.0.2.1"], False),
}  # fmt: skip


@pytest.mark.parametrize(("key", "lines", "done"), CASES.values(), ids=CASES)
def test_nsupdate_may_do_what_the_rules_say(policy, key, lines, done):
    before = policy.serial(REGISTRY)

    status, said = nsupdate(policy, credentials(key), REGISTRY, *(f"update {line}" for line in lines))

    assert (status, "REFUSED" in said) == ((0, False) if done else (2, True)), said
    assert done or policy.serial(REGISTRY) == before


def refused(policy, key, *changes):
    """Send an update that is refused, and return the text of its extended error."""
    ring = dns.tsigkeyring.from_text({f"{key}.": SECRET})
    update = dns.update.UpdateMessage(REGISTRY, keyring=ring, keyname=f"{key}.", keyalgorithm="hmac-sha256")
    update.use_edns(0)
    for change in changes:
        update.add(*change)
    answer = policy.send(update)
    assert answer.rcode() == dns.rcode.REFUSED
    (error,) = [option for option in answer.options if isinstance(option, dns.edns.EDEOption)]
    assert error.code == 18
    return error.text


def test_a_refusal_names_rule_key_name_type_and_cure(policy):
    """As an extended error that people read."""
    rules = {
        (one["key"], one["rule"], one["name"], bool(one["deny"])): one["id"]
        for one in json.loads(policy.ddns("grant", "list", REGISTRY, "--json"))
    }
    vault = rules["plain.", "subdomain", "vault.reg.example.", True]
    few = rules["few.", "subdomain", "few.reg.example.", False]
    trusted = rules["trusted.", "subdomain", "t.reg.example.", False]

    assert refused(policy, "plain", ("a.vault", 60, "A", "192.0.2.1")) == (
        f"Rule {vault} denies the key plain. a.vault.reg.example. A: the vault is closed; leave it out. "
        "[denied-by-rule]"
    )
    assert refused(policy, "few", ("c.few", 60, "TXT", "one"), ("c.few", 60, "TXT", "two")) == (
        f"Rule {few} allows the key few. 1 TXT at c.few.reg.example., this update makes 2; delete old ones with it. "
        "[too-many-for-rule]"
    )
    assert refused(policy, "few", ("few", 60, "MX", "1 x")) == (
        f"The key few. may not write few.reg.example. MX: there it has only rule {few} for A,TXT,AAAA; "
        "ask the registry for a grant. [name-not-granted]"
    )
    assert refused(policy, "trusted", ("t", 60, "A", "192.0.2.1")) == (
        f"Rule {trusted} lets keys of the assurance attested write t.reg.example. A, and the key trusted. has manual; "
        "ask the registry to raise it. [assurance-too-low]"
    )


def test_more_assurance_opens_what_needed_it(policy):
    """At once: the next update of the same key is allowed."""
    add = "update add t.reg.example. 60 A 192.0.2.1"
    policy.ddns("key", "assurance", "trusted", "attested")

    status, said = nsupdate(policy, credentials("trusted"), REGISTRY, add)
    policy.ddns("key", "assurance", "trusted", "voucher")
    again, _ = nsupdate(policy, credentials("trusted"), REGISTRY, add)

    assert (status, said, again) == (0, "", 2)


def test_a_registrys_denial_binds_the_owners_of_all_its_homes(policy):
    """A home's SIG(0) key may write all of its home but what is denied in homes; whole names go, MX stays out."""

    def owner(*lines):
        return nsupdate(policy, policy.owner, HOME, *(f"update {line}" for line in lines))[0]

    assert owner(f"add cam.{HOME} 60 A 192.0.2.1", *(f"add cam.{HOME} 60 TXT {text}" for text in "abc")) == 0
    assert owner(f"add cam.{HOME} 60 TXT d") == 2
    assert owner(f"add {HOME} 60 MX 1 mail.{HOME}") == 2
    assert owner(f"add x.{HOME} 60 A 192.0.2.2", f"add x.{HOME} 60 MX 1 mail.{HOME}") == 2
    assert owner(f"delete cam.{HOME}") == 0
    assert policy.values(f"cam.{HOME}", "TXT") == []
    assert policy.values(f"x.{HOME}", "A") == []


def test_a_check_tells_beforehand(policy):
    """With the exit status for scripts, and the rule for people."""
    allowed = policy.ddns("grant", "check", "few", "few.reg.example", "A")
    owner = policy.ddns("grant", "check", HOME, f"cam.{HOME}", "AAAA")
    shown = json.loads(policy.ddns("grant", "check", "few", "few.reg.example", "A", "--json"))
    policy.ddns("grant", "check", "plain", "vault.reg.example", "any", status=1)
    denied = policy.ddns("grant", "check", HOME, HOME, "MX", "--zone", REGISTRY, status=1)

    assert "few. may write few.reg.example. A, by rule" in allowed
    assert "at most 2 records" in allowed
    assert "by owning the home" in owner
    assert (shown[0]["allowed"], shown[0]["most"], len(shown[0]["rules"])) == (True, 2, 1)
    assert denied == ""
    number = shown[0]["rules"][0]
    assert "few. may write at and below few.reg.example. A(2),TXT(1),AAAA." in policy.ddns("grant", "show", number)


# -- keys for certificates

CERTIFIED = f"cam.{HOME}"
CHALLENGE = f"_acme-challenge.{CERTIFIED}"


@pytest.fixture(scope="module")
def acme(policy):
    """Yield the secret of a key that `ddns key add --acme` made for the home's camera."""
    made = policy.ddns("key", "add", "acme.example", "--algorithm", "hmac-sha512", "--acme", CERTIFIED, "--json")
    yield json.loads(made)["secret"]
    policy.ddns("key", "revoke", "acme.example")


def acme_update(policy, acme, *lines, command="update "):
    return nsupdate(policy, credentials("acme.example", "hmac-sha512", acme), HOME, *(f"{command}{x}" for x in lines))


def test_a_key_for_certificates_writes_its_challenges(policy, acme):
    """Below the host too; prerequisites about them are answered."""
    first = acme_update(policy, acme, f"add {CHALLENGE} 60 TXT one", f"add _acme-challenge.a.b.{CERTIFIED} 60 TXT two")
    values = policy.values(CHALLENGE, "TXT")
    unmet = acme_update(policy, acme, f"prereq nxdomain {CHALLENGE}", f"update delete {CHALLENGE} TXT", command="")
    again = acme_update(policy, acme, f"prereq yxrrset {CHALLENGE} TXT", f"update delete {CHALLENGE} TXT", command="")

    assert first == (0, "")
    assert values == ['"one"']
    assert unmet[0] == 2
    assert "YXDOMAIN" in unmet[1]
    assert again == (0, "")
    assert policy.values(CHALLENGE, "TXT") == []


@pytest.mark.parametrize(
    "lines",
    [
        [f"update add {CERTIFIED} 60 TXT x"],
        [f"update add {CERTIFIED} 60 A 192.0.2.1"],
        [f"update add {CHALLENGE} 60 CAA 0 issue ca.example"],
        [f"update add {CHALLENGE} 60 CNAME elsewhere.example."],
        [f"update add {CHALLENGE} 60 NS elsewhere.example."],
        [f"update delete {CHALLENGE}"],
        [f"update add x.{CHALLENGE} 60 TXT x"],
        [f"update add _acme-challenge.{HOME} 60 TXT x"],
        [f"update add _acme-challenge.other.{HOME} 60 TXT x"],
        [rf"update add _acme-challenge\.{CERTIFIED} 60 TXT x"],
        [f"update delete {HOME}"],
        [f"update delete {CERTIFIED} TXT"],
        [f"update add {CHALLENGE} 60 TXT x", f"update add {CERTIFIED} 60 A 192.0.2.1"],
        [f"prereq yxdomain {CERTIFIED}", f"update add {CHALLENGE} 60 TXT x"],
        [f"prereq nxrrset {HOME} MX"],
    ],
)
def test_a_key_for_certificates_does_nothing_else(policy, acme, lines):
    before = policy.serial(HOME)

    status, said = acme_update(policy, acme, *lines, command="")

    assert status == 2
    assert "REFUSED" in said
    assert policy.serial(HOME) == before


def test_a_key_for_certificates_is_nobody_in_other_zones(policy, acme):
    lines = [f"update add _acme-challenge.{REGISTRY} 60 TXT x"]

    status, said = nsupdate(policy, credentials("acme.example", "hmac-sha512", acme), REGISTRY, *lines)

    assert (status, "REFUSED" in said) == (2, True)


def ring(acme):
    return dns.tsigkeyring.from_text({"acme.example.": acme})


def exchange(policy, message):
    return dns.query.tcp(message, "127.0.0.1", port=policy.port, timeout=30)


@pytest.mark.parametrize("signed", [False, True], ids=["sign_query = false", "sign_query = true"])
def test_certbots_steps_work(policy, acme, signed):
    """The steps of certbot's plugin dns-rfc2136: it looks for the zone by SOA, adds, and later deletes the record."""
    absolute = dns.name.from_text(CHALLENGE)
    zone = None
    for depth in range(len(absolute.labels) - 1):
        guess = dns.name.Name(absolute.labels[depth:])
        request = dns.message.make_query(guess, dns.rdatatype.SOA, dns.rdataclass.IN)
        request.flags ^= dns.flags.RD
        if signed:
            request.use_tsig(ring(acme), "acme.example.", algorithm=dns.tsig.HMAC_SHA512)
        answer = exchange(policy, request)
        found = answer.get_rrset(answer.answer, guess, dns.rdataclass.IN, dns.rdatatype.SOA)
        if answer.rcode() == dns.rcode.NOERROR and found and answer.flags & dns.flags.AA:
            zone = guess
            break
    assert zone == dns.name.from_text(HOME)
    relative = absolute.relativize(zone)

    for value in ("first-validation", "second-validation"):  # a name and its wildcard have the same challenge
        update = dns.update.UpdateMessage(zone, keyring=ring(acme), keyalgorithm=dns.tsig.HMAC_SHA512)
        update.add(relative, 120, dns.rdatatype.TXT, value)
        assert exchange(policy, update).rcode() == dns.rcode.NOERROR
    seen = policy.values(CHALLENGE, "TXT")
    for value in ("first-validation", "second-validation"):
        update = dns.update.UpdateMessage(zone, keyring=ring(acme), keyalgorithm=dns.tsig.HMAC_SHA512)
        update.delete(relative, dns.rdatatype.TXT, value)
        assert exchange(policy, update).rcode() == dns.rcode.NOERROR

    assert seen == ['"first-validation"', '"second-validation"']
    assert policy.values(CHALLENGE, "TXT") == []


def test_legos_steps_work(policy, acme):
    """lego, and Caddy with it: it empties the RRset and adds in one update, and deletes the record in another."""
    for value in ("stale", "fresh"):
        update = dns.update.UpdateMessage(HOME, keyring=ring(acme), keyalgorithm=dns.tsig.HMAC_SHA512)
        update.delete(dns.name.from_text(CHALLENGE), dns.rdatatype.TXT)
        update.add(dns.name.from_text(CHALLENGE), 120, dns.rdatatype.TXT, value)
        assert policy.send(update).rcode() == dns.rcode.NOERROR
    seen = policy.values(CHALLENGE, "TXT")
    update = dns.update.UpdateMessage(HOME, keyring=ring(acme), keyalgorithm=dns.tsig.HMAC_SHA512)
    update.delete(dns.name.from_text(CHALLENGE), dns.rdatatype.TXT, "fresh")
    assert policy.send(update).rcode() == dns.rcode.NOERROR

    assert seen == ['"fresh"']
    assert policy.values(CHALLENGE, "TXT") == []


def test_acme_shs_steps_work(policy, acme):
    """acme.sh feeds nsupdate a key file and no zone; nsupdate finds that by itself."""
    file = policy.folder / "acme.key"
    file.write_text(f'key "acme.example." {{\n\talgorithm hmac-sha512;\n\tsecret "{acme}";\n}};\n')
    file.chmod(0o600)

    def feed(line):
        script = f"server 127.0.0.1 {policy.port}\n{line}\nsend\n"
        return subprocess.run(
            [need("nsupdate"), "-k", file], input=script, capture_output=True, text=True, timeout=90, check=False
        )

    assert feed(f'update add {CHALLENGE} 60 in txt "token"').returncode == 0
    assert policy.values(CHALLENGE, "TXT") == ['"token"']
    assert feed(f"update delete {CHALLENGE} txt").returncode == 0
    assert policy.values(CHALLENGE, "TXT") == []


def test_an_owner_of_a_key_gets_the_same_right_by_a_grant(policy):
    """`ddns grant add --acme`, for all the home, and taken back."""
    add = f"update add _acme-challenge.tv.{HOME} 60 TXT x"
    policy.ddns("grant", "add", "single", HOME, "--acme")

    status, said = nsupdate(policy, credentials("single"), HOME, add)
    other, _ = nsupdate(policy, credentials("single"), HOME, f"update add tv.{HOME} 60 TXT x")
    policy.ddns("grant", "remove", "single", HOME, "--rule", "acme")
    after, _ = nsupdate(policy, credentials("single"), HOME, add)

    assert (status, said, other, after) == (0, "", 2, 2)
