"""Table VII of the paper, on optic disc and cup, with rows for the default recipe."""

from fundus_uda.experiments.tables import (
    ASA_IT,
    ASA_IT_ST,
    ASA_ST,
    ORACLE,
    SOURCE,
    BestOf,
    Row,
    adapted,
)

TABLE_7: dict[str, Row | BestOf] = {
    "source": SOURCE,
    "source_longer": adapted("Source only, as many updates as adapted", "source"),
    "adaptsegnet": adapted("AdaptSegNet", "adaptsegnet", paper=(0.775, 0.893, 0.834)),
    "advent": adapted("ADVENT", "advent"),
    "asc": adapted("ASC", "asc"),
    "asa": adapted("ASA", "asa", seeds=None, paper=(0.806, 0.900, 0.853)),
    "asa_source_statistics": adapted(
        "ASA, statistics of the source", "asa", ("adaptation.batch_norm_statistics=source",)
    ),
    "asa_st": ASA_ST,
    "asa_it": ASA_IT,
    "asa_it_st": ASA_IT_ST,
    "recipe_source": Row("Default recipe, first stage", "strong_source", seeds=None),
    "recipe_teacher": Row(
        "Default recipe, second stage", "mean_teacher", start="recipe_source", seeds=None
    ),
    "recipe": BestOf("Default recipe", "recipe_source", "recipe_teacher"),
    "oracle": ORACLE,
}
