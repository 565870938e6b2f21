"""How it stands with the home of a box that shows the registry's certificate: all that its gateway has to know.

EST gives a box a certificate that names its home, and says nothing of where updates go; who lost an answer finds here
the one that `POST /v1/enrol` gave.
"""

from __future__ import annotations

from ddns.homes import enrolment, labels, registrar
from ddns.homes.enrolment import Enrolled
from ddns.proof import jwk
from ddns.store import home_people, keys_of_homes, zones
from ddns.store.pool import Connection
from ddns.web import device_proofs, enrol_routes
from ddns.web.routes import Answer, Asked, Listener, Means, Refused, Route


async def enrolled(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Say which home the box has whose key TLS proved, how sure the registry is of it, and where updates go."""
    shown = device_proofs.certificate_of(asked)
    home = registrar.of(means.secret, means.place.name).home_of(shown, asked.now)
    key = device_proofs.key_of(shown)
    if home is None or key is None:
        raise Refused(device_proofs.not_yours())
    standing = await home_people.called(conn, home)
    rdata = jwk.to_key_rdata(key)
    live = () if standing is None else await keys_of_homes.live(conn, standing.zone)
    mine = next((one for one in live if one.name == home and one.public == rdata), None)
    if standing is None or mine is None:
        raise Refused(device_proofs.not_yours())
    found = await zones.get(conn, [standing.zone, standing.parent])
    registry = found[standing.parent]
    servers = await enrolment.servers_of(conn, registry)
    look, _ = labels.looks(home)
    done = Enrolled(home, look, registry.origin, servers, mine.assurance, found[standing.zone].edition > 0)
    return Answer(enrol_routes.shown(done, means.place))


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/v1/enrolment", summary="Say which home the box has, and where it goes on.",
        tag="devices", right=None, answers={200: enrol_routes.Enrolled}, within=enrolled, listener=Listener.DEVICES,
        api=False,
    ),
)  # fmt: skip
