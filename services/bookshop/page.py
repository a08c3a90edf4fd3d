"""The product page as HTML: one file, nothing loaded from elsewhere. Pure: data in, text out."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from services.bookshop.calls import Answer

STARS = 5
DETAIL_COLUMNS = (("ISBN-10", "ISBN-10"), ("publisher", "Publisher"), ("pages", "Pages"), ("type", "Type"), ("language", "Language"))
COLORS = {"black": "#111", "red": "#c0202c"}

_HEAD = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Simple Bookstore App</title>
<style>
body{margin:0;font:16px/1.5 Georgia,serif;color:#222;background:#faf8f4}
header{display:flex;justify-content:space-between;align-items:center;padding:.6rem 1.5rem;background:#24323f;color:#fff}
header form{display:inline}header a{color:#fff}
main{max-width:56rem;margin:0 auto;padding:1.5rem}
section{display:inline-block;vertical-align:top;width:48%;min-width:20rem}
td,th{padding:.1rem 1rem .1rem 0;text-align:left}
blockquote{margin:.8rem 0;padding-left:1rem;border-left:3px solid #d8d2c4}
.stars{font-size:1.3rem;letter-spacing:.1em}.error{color:#c0202c}small{color:#666}
</style>
</head>
<body>
"""


def index_page() -> str:
    return f"""{_HEAD}<header><b>The bookshop</b></header>
<main><h1>Hello! This is a simple bookstore application.</h1>
<p><a href="/productpage?u=normal">Normal user</a> · <a href="/productpage?u=test">Test user</a></p></main>
</body></html>
"""


def product_page(product: Mapping[str, Any], details: Answer, reviews: Answer, user: str) -> str:
    return (
        f"{_HEAD}{_header(user)}<main><h1>{escape(product['title'])}</h1>\n<p>{product['descriptionHtml']}</p>\n"
        f"<section>{_details(details)}</section>\n<section>{_reviews(reviews)}</section>\n</main>\n</body></html>\n"
    )


def _header(user: str) -> str:
    if user:
        who = f'{escape(user)} (<a href="/logout">sign out</a>)'
    else:
        who = '<form method="post" action="/login"><input name="username" placeholder="User name" required> <button>Sign in</button></form>'
    return f"<header><b>The bookshop</b><span>{who}</span></header>\n"


def _failure(title: str, body: Any) -> str:
    return f'<h4 class="error">{title}</h4>\n<p>{escape(str(body["error"]))}</p>'


def _details(answer: Answer) -> str:
    if answer.status != 200:
        return _failure("Error fetching product details!", answer.body)
    rows = "".join(f"<tr><th>{label}</th><td>{escape(str(answer.body.get(key, '')))}</td></tr>\n" for key, label in DETAIL_COLUMNS)
    return f"<h4>Book Details</h4>\n<table>{rows}</table>"


def _reviews(answer: Answer) -> str:
    if answer.status != 200:
        return _failure("Error fetching product reviews!", answer.body)
    served_by = f"<p><small>Reviews served by: <u>{escape(str(answer.body.get('podname', '')))}</u></small></p>"
    return f"<h4>Book Reviews</h4>\n{_quotes(answer.body.get('reviews', ()))}{served_by}"


def _quotes(reviews: Sequence[Mapping[str, Any]]) -> str:
    return "".join(
        f"<blockquote>{escape(str(review.get('text', '')))} <small>{escape(str(review.get('reviewer', '')))}</small>"
        f"{_rating(review['rating']) if 'rating' in review else ''}</blockquote>\n"
        for review in reviews
    )


def _rating(rating: Mapping[str, Any]) -> str:
    if "stars" not in rating:
        return f'<p class="error"><i>{escape(str(rating.get("error", "")))}</i></p>'
    filled = max(0, min(STARS, int(rating["stars"])))
    name = str(rating.get("color", ""))
    color = COLORS.get(name, "#111")
    return (
        f'<div class="stars" style="color:{color}" data-color="{escape(name)}" title="{filled} of {STARS} stars, {escape(name)}">'
        f"{'★' * filled}{'☆' * (STARS - filled)}</div>"
    )
