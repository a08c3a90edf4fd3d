"""Ingress: what a gateway lets in is what a Gateway and a VirtualService agree on, by host and path."""

from lab import checks
from lab.client import Response
from lab.trial import Trial

WWW, API = "www.bookshop.example", "api.bookshop.example"


def ask(mesh: Trial, host: str, path: str, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return mesh.get(path, {"host": host, **named}, service="ingressgateway")


def test_a_gateway_lets_in_what_it_was_told_to(mesh: Trial) -> None:
    """Without a rule nothing comes in; with one, its hosts and paths and no others."""
    mesh.apply("gateway.yaml")
    checks.status(ask(mesh, WWW, "/productpage"), 404)

    mesh.apply("pages.yaml", "api.yaml")
    checks.status(ask(mesh, WWW, "/productpage"), 200)
    checks.status(ask(mesh, WWW, "/reviews/0"), 404)
    checks.status(ask(mesh, "www.elsewhere.example", "/productpage"), 404)

    reviews = ask(mesh, API, "/v1/reviews/0")
    checks.status(reviews, 200)
    checks.equal("reviewed product", reviews.json()["id"], "0")


def test_nobody_outside_is_believed(mesh: Trial) -> None:
    """A request gets a new id at the edge, and the client's address is added to what he says of himself."""
    mesh.apply("gateway.yaml", "pages.yaml")
    checks.status(ask(mesh, WWW, "/productpage?believed", x_request_id="mine", x_forwarded_for="192.0.2.1"), 200)

    def lines() -> list[str]:
        return [line for line in mesh.lab.logs("productpage-v1-0", "access").splitlines() if "/productpage?believed" in line]

    mesh.wait(lines, "productpage has logged the request")
    [line] = lines()
    checks.check("the id is a new one", '"mine"' not in line, line)
    checks.check("the client's own address comes last", '"192.0.2.1,' in line, line)


def test_plain_requests_can_be_sent_to_https(mesh: Trial) -> None:
    """301 to the same place over https, and nothing behind it is asked."""
    mesh.apply("to-https.yaml", "pages.yaml")
    answer = ask(mesh, WWW, "/productpage?u=normal")
    checks.status(answer, 301)
    checks.equal("location", answer.headers.get("location"), f"https://{WWW}/productpage?u=normal")
