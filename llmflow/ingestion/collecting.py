"""Scheduled collection: what is new or changed is ingested, what is gone is deleted, the rest is not even read."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huey import crontab

from llmflow.errors import ConfigurationError, InvalidInputError, LLMFlowError, NotFoundError
from llmflow.ingestion.guarding import check_url
from llmflow.ingestion.intake import Intake, Upload
from llmflow.ingestion.leases import Worker
from llmflow.ingestion.listing import Item, Listing, list_folder, list_prefix, list_urls
from llmflow.ingestion.pipeline import Ingester
from llmflow.schema import Job, JobStatus, Scope
from llmflow.settings import CollectionSettings, Settings
from llmflow.stores.collected import CollectedStore, Seen
from llmflow.stores.database import Database
from llmflow.stores.scoping import document_id

_log = logging.getLogger(__name__)

_Outcome = Literal["new", "changed", "unchanged", "failed"]


@dataclass(frozen=True, slots=True)
class Collected:
    """How many documents a collection found new, changed and unchanged, had removed, and could not read."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    failed: int = 0


class Collector:
    """Collects documents; runs in the process that owns the vector store.

    Args:
        dispatch: told every job there is to run.
    """

    def __init__(
        self,
        database: Database,
        worker: Worker,
        intake: Intake,
        ingester: Ingester,
        settings: Settings,
        dispatch: Callable[[Job], object],
    ) -> None:
        self._store = CollectedStore(database.engine)
        self._worker = worker
        self._intake = intake
        self._ingester = ingester
        self._settings = settings
        self._dispatch = dispatch

    def collect(self, settings: CollectionSettings) -> Collected:
        """One run of a collection. What cannot be read is logged, counted, and tried again at the next run.

        A document that is gone from its folder or prefix is deleted, unless the listing is incomplete, or
        empty where something was before: more likely a share is not mounted than everything was deleted.
        """
        scope = Scope(settings.tenant, (settings.department,), f"collection:{settings.name}")
        try:
            listing = self._list(settings)
        except (LLMFlowError, OSError) as error:
            _log.warning("collection %s cannot be listed, nothing was collected or deleted: %s", settings.name, error)
            return Collected(failed=1)
        seen = self._store.seen(settings.name)
        counts: Counter[str] = Counter()
        for item in listing.items:
            try:
                counts[self._collect(settings, scope, item, seen)] += 1
            except (LLMFlowError, OSError) as error:
                _log.warning("collection %s: %s could not be collected: %s", settings.name, item.source, error)
                counts["failed"] += 1
        for each in self._gone(settings, listing, seen.values()):
            try:
                self._remove(settings, each)
                counts["removed"] += each.exists
            except LLMFlowError as error:
                _log.warning("collection %s: %s could not be deleted: %s", settings.name, each.source, error)
                counts["failed"] += 1
        return Collected(**counts)

    def _list(self, settings: CollectionSettings) -> Listing:
        if settings.folder:
            return list_folder(settings.folder)
        if settings.s3_prefix and self._settings.objects.s3:
            bucket, _, prefix = settings.s3_prefix.partition("/")
            return list_prefix(self._settings.objects.s3, bucket, prefix)
        return list_urls(settings.urls, self._settings.fetch)

    def _collect(self, settings: CollectionSettings, scope: Scope, item: Item, seen: dict[str, Seen]) -> _Outcome:
        known = seen.get(document_id(scope.tenant, settings.department, item.source))
        mark = item.mark()
        is_there = known is not None and known.exists
        if is_there and mark is not None and known is not None and known.mark == mark:
            return "unchanged"
        with self._worker.scratch() as scratch:
            name, path = item.bring(Path(scratch), self._settings.parsing.max_file_mb)
            job = self._intake.submit(scope, settings.department, Upload(item.source, name), path)
        self._store.note(settings.name, scope.tenant, settings.department, item.source, mark or "")
        if job.status is JobStatus.DONE:
            return "unchanged"
        self._dispatch(job)
        return "changed" if is_there else "new"

    def _gone(self, settings: CollectionSettings, listing: Listing, seen: Iterable[Seen]) -> list[Seen]:
        if not listing.complete:
            return []
        there = {document_id(settings.tenant, settings.department, item.source) for item in listing.items}
        gone = [each for each in seen if each.document_id not in there]
        if gone and not listing.items:
            _log.warning(
                "collection %s is empty; its %d documents are kept. Delete them by `llmflow delete` if that is right",
                settings.name,
                len(gone),
            )
            return []
        return gone

    def _remove(self, settings: CollectionSettings, gone: Seen) -> None:
        scope = Scope(gone.tenant, (gone.department,), f"collection:{settings.name}")
        with suppress(NotFoundError):
            self._ingester.delete(scope, gone.document_id)
        self._store.forget(settings.name, gone.document_id)


def check_collections(settings: Settings) -> None:
    """Whether the collections can be collected as they are set.

    Raises:
        ConfigurationError: a name is used twice, there is not exactly one of folder, s3_prefix and urls, or one
            of these, or cron, is not what it must be.
    """
    names: set[str] = set()
    for index, collection in enumerate(settings.collections):
        param = f"collections.{index}"
        if collection.name in names:
            raise ConfigurationError(
                f"two collections are named {collection.name!r}; give each a name of its own", param=f"{param}.name"
            )
        names.add(collection.name)
        given = [name for name in ("folder", "s3_prefix", "urls") if getattr(collection, name)]
        if len(given) != 1:
            raise ConfigurationError(
                f"collection {collection.name!r} has {' and '.join(given) or 'nothing to collect'}; "
                "give exactly one of folder, s3_prefix and urls",
                param=param,
            )
        _check_cron(collection, f"{param}.cron")
        _check_place(collection, settings, f"{param}.{given[0]}")


def _check_cron(collection: CollectionSettings, param: str) -> None:
    try:
        minute, hour, day, month, weekday = collection.cron.split()
        crontab(minute=minute, hour=hour, day=day, month=month, day_of_week=weekday, strict=True)
    except ValueError as error:
        raise ConfigurationError(
            f"collection {collection.name!r} has the schedule {collection.cron!r} ({error}); write five fields (minute "
            "hour day month weekday) of numbers, *, */N, N-M and commas, e.g. `0 3 * * *` for three at night",
            param=param,
        ) from None


def _check_place(collection: CollectionSettings, settings: Settings, param: str) -> None:
    where = f"collection {collection.name!r}"
    if collection.folder:
        folder = collection.folder.resolve()
        for own in (settings.data_dir.resolve(), settings.objects_root.resolve()):
            if own.is_relative_to(folder) or folder.is_relative_to(own):
                raise ConfigurationError(
                    f"{where} collects {folder}, but {own} is where LLMFlow keeps its own data; name another folder",
                    param=param,
                )
    if collection.s3_prefix:
        if settings.objects.s3 is None:
            raise ConfigurationError(f"{where} has s3_prefix, but objects.s3 is not set; set it", param=param)
        if collection.s3_prefix.partition("/")[0] == settings.objects.s3.bucket:
            raise ConfigurationError(
                f"{where} collects from the bucket {settings.objects.s3.bucket!r}, where LLMFlow keeps the originals; "
                "name another one",
                param=param,
            )
    for url in collection.urls:
        try:
            check_url(url, settings.fetch)
        except InvalidInputError as error:
            raise ConfigurationError(f"{where}: {error.message}", param=param) from None
