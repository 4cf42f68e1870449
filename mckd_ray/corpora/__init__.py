"""Corpora: readers of published and of a user's own files, the built-in corpus, splits and partitions."""

from mckd_ray.corpora.corpus import Corpus, load
from mckd_ray.corpora.fingerprint import fingerprint
from mckd_ray.corpora.splits import partition, partitioned

__all__ = ["Corpus", "fingerprint", "load", "partition", "partitioned"]
