"""The table of data sets: what each one is, how it is laid out, and where its files come from.

Adding a data set is adding one `Dataset` here and its files' checksums to `files.tsv`.
"""

from collections.abc import Callable

from .card import ID, SENTIMENT, TEXT, Archive, Dataset, File, known_files
from .formats import Column, JsonLines, Lines, Squad, Tabbed, dialogue_row
from .world import WORLD


def _github(folder: str, repository: str, commit: str) -> Callable[[str, str], File]:
    """Files of a repository at one commit, which GitHub never changes under the same address."""

    def file(path: str, source: str) -> File:
        known = known_files()[f"{folder}/{path}"]
        return File(
            path,
            (
                f"https://raw.githubusercontent.com/{repository}/{commit}/{source}",
                # Software Heritage archives public repositories and finds a file by its content.
                f"https://archive.softwareheritage.org/api/1/content/sha256:{known.served}/raw/",
            ),
        )

    return file


def _questions(loose: bool = False) -> tuple[Column, ...]:
    title, question = Column("title", loose=loose), Column("question", loose=loose)
    return (ID, title, Column("context"), question, Column("answers", "answers", loose=loose))


_multi30k = _github("multi30k", "multi30k/dataset", "a3d2e0d26b56f3846f66a952536ffed4e401d05a")
_MULTI30K_ROWS = {
    "train": 29_000,
    "val": 1_014,
    "test_2016_flickr": 1_000,
    "test_2017_flickr": 1_000,
    "test_2017_mscoco": 461,
}
_cmn = _github(
    "tatoeba_eng_cmn",
    "DaoChaShao/py-st-dl-translater-2.0",
    "620408eda1721f683e2413778ad19e4f94691053",
)
_sst2 = _github(
    "sst2",
    "clairett/pytorch-sentiment-classification",
    "457ffd83de90a9d6d472d8ffc31bbffe40a8b236",
)
_phrases = _github("sst2", "forest-snow/alps", "3c7ef2c98249fc975a897b27f275695f97d5b7a9")
_squad = _github(
    "squad_v11_dev", "rajpurkar/SQuAD-explorer", "e0c66cfec263165fb3c15cb76a22175e371b71d7"
)("dev-v1.1.json", "dataset/dev-v1.1.json")
_wikitext = _github(
    "wikitext2_valid_test", "pytorch/examples", "77f55b912142e11fcfdf5b530231fb9c52f181e8"
)
_shakespeare = _github(
    "tinyshakespeare", "karpathy/char-rnn", "6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e"
)("input.txt", "data/tinyshakespeare/input.txt")
_xquad = _github("xquad", "google-deepmind/xquad", "7d30520c717524000f0d9d2f9c10a069acd9d285")
_cmrc = _github("cmrc2018", "ymcui/cmrc2018", "c0eb1b6ba219847457e6af3180da722bbeb656af")
_dialogsum = _github("dialogsum", "cylnlp/dialogsum", "848cc8c05e0a04def79326539de827f1b28786a0")

_SST2_CITATION = "Socher et al. 2013, Recursive Deep Models for Semantic Compositionality."

_REAL = [
    Dataset(
        name="multi30k",
        title="Multi30k: image captions, task 1, raw text",
        task="translation",
        languages=("en", "de", "fr"),
        columns=(Column("en"), Column("de"), Column("fr")),
        layout=Lines("en", "de", "fr"),
        licence="none stated; captions derive from Flickr30k: research use",
        source="https://github.com/multi30k/dataset",
        citation="Elliott et al. 2016, Multi30K: Multilingual English-German Image Descriptions.",
        folder="multi30k",
        files={
            split: tuple(
                _multi30k(f"{split}.{language}", f"data/task1/raw/{split}.{language}.gz")
                for language in ("en", "de", "fr")
            )
            for split in _MULTI30K_ROWS
        },
        rows=_MULTI30K_ROWS,
    ),
    Dataset(
        name="tatoeba-en-zh",
        title="Tatoeba sentence pairs, English and Mandarin, from ManyThings",
        task="translation",
        languages=("en", "zh"),
        columns=(Column("en"), Column("zh"), Column("attribution")),
        layout=Tabbed("en", "zh", "attribution"),
        licence="CC BY 2.0 FR; keep the attribution of each line",
        source="https://www.manythings.org/anki/",
        citation="Tatoeba, tatoeba.org; Tab-delimited Bilingual Sentence Pairs, manythings.org.",
        folder="tatoeba_eng_cmn",
        files={"all": (_cmn("cmn.txt", "data/cmn.txt"),)},
        rows={"all": 29_155},
        note="No official split. Sorted by length, with repeated English: group before you split.",
    ),
    Dataset(
        name="tatoeba-en-es",
        title="Tatoeba sentence pairs, English and Spanish, as in the Keras examples",
        task="translation",
        languages=("en", "es"),
        columns=(Column("en"), Column("es")),
        layout=Tabbed("en", "es", member="spa.txt"),
        licence="CC BY 2.0 FR",
        source="https://www.manythings.org/anki/",
        citation="Tatoeba, tatoeba.org; Tab-delimited Bilingual Sentence Pairs, manythings.org.",
        folder="tatoeba_eng_spa",
        files={
            "all": (
                File(
                    "spa-eng.zip",
                    ("https://storage.googleapis.com/download.tensorflow.org/data/spa-eng.zip",),
                    also=("spa.txt",),
                ),
            )
        },
        rows={"all": 118_964},
        note="No official split. Sorted by length, with repeated English: group before you split.",
    ),
    Dataset(
        name="imdb",
        title="IMDB large movie review data set (aclImdb v1)",
        task="sentiment",
        languages=("en",),
        columns=(
            Column("id", "integer"),
            Column("label", "label", ("negative", "positive"), splits=("train", "test")),
            Column("rating", "integer", splits=("train", "test")),
            TEXT,
        ),
        layout=JsonLines(),
        licence="none stated; asks for citation",
        source="https://ai.stanford.edu/~amaas/data/sentiment/",
        citation="Maas et al. 2011, Learning Word Vectors for Sentiment Analysis.",
        folder="imdb",
        files={
            "train": (File("train.jsonl"),),
            "test": (File("test.jsonl"),),
            "unsupervised": (File("unsup.jsonl"),),
        },
        rows={"train": 25_000, "test": 25_000, "unsupervised": 50_000},
        archive=Archive(
            "aclImdb_v1.tar.gz",
            (
                "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
                "http://d2l-data.s3-accelerate.amazonaws.com/aclImdb_v1.tar.gz",
            ),
            unpack="imdb",
        ),
        note="Sorted by label: shuffle. Ids count within a label.",
    ),
    Dataset(
        name="sst2",
        title="Stanford Sentiment Treebank, two classes, whole sentences",
        task="sentiment",
        languages=("en",),
        columns=(TEXT, SENTIMENT),
        layout=Tabbed("text", "label"),
        licence="none stated",
        source="https://nlp.stanford.edu/sentiment/",
        citation=_SST2_CITATION,
        folder="sst2",
        files={
            "train": (_sst2("train.tsv", "data/SST2/train.tsv"),),
            "validation": (_sst2("dev.tsv", "data/SST2/dev.tsv"),),
            "test": (_sst2("test.tsv", "data/SST2/test.tsv"),),
        },
        rows={"train": 6_920, "validation": 872, "test": 1_821},
        note="Lower-cased and tokenised: words are separated by blanks.",
    ),
    Dataset(
        name="sst2-phrases",
        title="Stanford Sentiment Treebank, two classes, phrases as in GLUE",
        task="sentiment",
        languages=("en",),
        columns=(TEXT, SENTIMENT),
        layout=Tabbed("text", "label", header="sentence\tlabel"),
        licence="none stated",
        source="https://nlp.stanford.edu/sentiment/",
        citation=_SST2_CITATION,
        folder="sst2",
        files={
            "train": (_phrases("phrases/train.tsv", "data/SST-2/train.tsv"),),
            "validation": (_phrases("phrases/dev.tsv", "data/SST-2/dev.tsv"),),
            "test": (_phrases("phrases/test.tsv", "data/SST-2/test.tsv"),),
        },
        rows={"train": 60_614, "validation": 6_735, "test": 872},
        note="Train and validation part GLUE's 67,349 phrases; test is GLUE's dev set.",
    ),
    Dataset(
        name="squad",
        title="SQuAD 1.1, dev",
        task="question answering",
        languages=("en",),
        columns=_questions(),
        layout=Squad(),
        licence="CC BY-SA 4.0",
        source="https://rajpurkar.github.io/SQuAD-explorer/",
        citation="Rajpurkar et al. 2016, SQuAD: 100,000+ Questions for Machine Comprehension.",
        folder="squad_v11_dev",
        files={
            "dev": (
                File(
                    _squad.path,
                    (
                        "https://rajpurkar.github.io/SQuAD-explorer/dataset/dev-v1.1.json",
                        *_squad.mirrors,
                    ),
                    also=("dev-v1.1.reconstructed.json",),
                ),
            )
        },
        rows={"dev": 10_570},
        note="Dev only, 48 articles: split by title to train.",
    ),
    Dataset(
        name="xquad",
        title="XQuAD: the same questions in English and Chinese",
        task="question answering",
        languages=("en", "zh"),
        columns=_questions(),
        layout=Squad(),
        licence="CC BY-SA 4.0",
        source="https://github.com/google-deepmind/xquad",
        citation="Artetxe et al. 2020, On the Cross-lingual Transferability of Representations.",
        folder="xquad",
        files={
            code: (_xquad(f"xquad.{code}.json", f"xquad.{code}.json"),) for code in ("en", "zh")
        },
        rows={"en": 1_190, "zh": 1_190},
        note="The splits are languages; en is part of SQuAD 1.1 dev.",
    ),
    Dataset(
        name="cmrc2018",
        title="CMRC 2018: Chinese extractive question answering",
        task="question answering",
        languages=("zh",),
        columns=_questions(loose=True),
        layout=Squad(mend=True),
        licence="CC BY-SA 4.0",
        source="https://github.com/ymcui/cmrc2018",
        citation="Cui et al. 2019, A Span-Extraction Dataset for Chinese Machine Reading.",
        folder="cmrc2018",
        files={
            split: (_cmrc(f"cmrc2018_{split}.json", f"squad-style-data/cmrc2018_{split}.json"),)
            for split in ("dev", "trial")
        },
        rows={"dev": 3_219, "trial": 1_002},
        note="Wrong upstream offsets are mended; start is -1 where the context lacks the words. "
        "Some titles, and two questions of trial, are empty.",
    ),
    Dataset(
        name="chnsenticorp",
        title="ChnSentiCorp: Chinese reviews of hotels, books and computers",
        task="sentiment",
        languages=("zh",),
        columns=(SENTIMENT, TEXT),
        layout=Tabbed("label", "text", header="label\ttext_a"),
        licence="none stated for the data",
        source="https://github.com/ymcui/Chinese-BERT-wwm (data/chnsenticorp/chnsenticorp.zip)",
        citation="Tan and Zhang 2008, An Empirical Study of Sentiment Analysis for Chinese.",
        folder="chnsenticorp",
        files={
            "train": (File("train.tsv"),),
            "validation": (File("dev.tsv"),),
            "test": (File("test.tsv"),),
        },
        rows={"train": 9_600, "validation": 1_200, "test": 1_200},
    ),
    Dataset(
        name="dialogsum",
        title="DialogSum: summaries of everyday dialogues",
        task="summarisation",
        languages=("en",),
        columns=(
            *(ID, Column("document"), Column("summary")),
            *(Column("references", "texts"), Column("topic")),
        ),
        layout=JsonLines(dialogue_row),
        licence="CC BY-NC-SA 4.0",
        source="https://github.com/cylnlp/dialogsum",
        citation="Chen et al. 2021, DialogSum: A Real-Life Scenario Dialogue Summarization Set.",
        folder="dialogsum",
        files={
            "train": (File("dialogsum.train.jsonl"),),
            "validation": (
                _dialogsum("dialogsum.dev.jsonl", "DialogSum_Data/dialogsum.dev.jsonl"),
            ),
            "test": (_dialogsum("dialogsum.test.jsonl", "DialogSum_Data/dialogsum.test.jsonl"),),
        },
        rows={"train": 12_460, "validation": 500, "test": 500},
        note="Train is the first release's split, as JSON; test has three references a dialogue.",
    ),
    Dataset(
        name="wikitext2",
        title="WikiText-2, validation and test",
        task="language modelling",
        languages=("en",),
        columns=(Column("text", loose=True),),
        layout=Lines("text"),
        licence="CC BY-SA (Wikipedia)",
        source="https://github.com/pytorch/examples/tree/main/word_language_model",
        citation="Merity et al. 2016, Pointer Sentinel Mixture Models.",
        folder="wikitext2_valid_test",
        files={
            split: (_wikitext(f"{split}.txt", f"word_language_model/data/wikitext-2/{split}.txt"),)
            for split in ("valid", "test")
        },
        rows={"valid": 3_760, "test": 4_358},
        note="A row is a line, empty ones included. Tokenised, rare words are <unk>.",
    ),
    Dataset(
        name="tinyshakespeare",
        title="Tiny Shakespeare",
        task="language modelling",
        languages=("en",),
        columns=(Column("text", loose=True),),
        layout=Lines("text"),
        licence="public domain",
        source="https://github.com/karpathy/char-rnn",
        citation="Karpathy 2015, The Unreasonable Effectiveness of Recurrent Neural Networks.",
        folder="tinyshakespeare",
        files={
            "all": (
                File(
                    _shakespeare.path,
                    (
                        _shakespeare.mirrors[0],
                        "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
                        _shakespeare.mirrors[1],
                    ),
                ),
            )
        },
        rows={"all": 40_000},
        note="A row is a line; join them with line ends for the text of 1,115,394 characters.",
    ),
]

REGISTRY: dict[str, Dataset] = {dataset.name: dataset for dataset in (*WORLD, *_REAL)}
