"""The language of a document that a route creates: the requested one, else that of the visitor."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query
from starlette.requests import Request

from station.core.languages import LanguageCode
from station.interfaces.languages import language_of


async def _document_language(
    request: Request,
    lang: Annotated[
        LanguageCode | None,
        Query(
            description="language of the document; when left out that chosen on the page, else the best of"
            " Accept-Language, else English"
        ),
    ] = None,
) -> LanguageCode:
    return lang if lang is not None else language_of(request)


DocumentLanguage = Annotated[LanguageCode, Depends(_document_language)]
"""`?lang=…`, else the language that the visitor has chosen on the page, else by Accept-Language (RFC 9110, 12.5.4)"""
