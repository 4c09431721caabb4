"""Rows of the paper's Table VII, of optic disc and cup; of Tables III to V on the same images."""

from fundus_uda.config.read import Profile
from fundus_uda.experiments.tables import (
    BestOf,
    PaperValue,
    Row,
    Table,
    adapted,
    complement_rows,
    connectivity_rows,
    in_gta5,
    weight_rows,
)
from fundus_uda.masks.dice import DICE


def tables(profile: Profile) -> dict[str, Table]:
    """List the tables of a profile; the values of Tables III to V are those of GTA5."""
    named = f"{profile}/{{}}".format
    road = [in_gta5(value) for value in (38.1, 45.1, 45.6, 48.1, 49.1)]
    return {
        "table7": _table_7(profile),
        "table3": complement_rows(named, road),
        "table4": weight_rows(named),
        "table5": connectivity_rows(named),
    }


def _dice(cup: float, disc: float, mean: float) -> PaperValue:
    text = f"{cup:.3f}, {disc:.3f}, {mean:.3f}"
    return PaperValue(text, dict(zip(DICE, (cup, disc, mean), strict=True)))


def _table_7(profile: Profile) -> Table:
    """List Table VII, with more of the compared methods and the default recipe.

    In the CPU profile, the first two stages of the recipe are rows of the table already.
    """
    named = f"{profile}/{{}}".format
    source, oracle = _dice(0.751, 0.793, 0.772), _dice(0.856, 0.968, 0.914)
    first, second = ("source", "asa") if profile == "cpu" else ("recipe_source", "recipe_asa")
    stages: Table = {
        "recipe_source": Row("Default recipe, first stage", named("recipe_source"), seeds=None),
        "recipe_asa": Row(
            "Default recipe, second stage", named("recipe_asa"), start=first, seeds=None
        ),
    }
    return {
        "source": Row("Source only", named("source"), seeds=None, paper=source),
        "source_longer": adapted(
            "Source only, as many updates as adapted", named("source_longer"), seeds=None
        ),
        "adaptsegnet": adapted(
            "AdaptSegNet", named("adaptsegnet"), seeds=None, paper=_dice(0.775, 0.893, 0.834)
        ),
        "advent": adapted("ADVENT", named("advent")),
        "asc": adapted("ASC", named("asc")),
        "asa": adapted("ASA", named("asa"), seeds=None, paper=_dice(0.806, 0.900, 0.853)),
        **(stages if profile == "paper" else {}),
        "mean_teacher": Row(
            "Default recipe, third stage", named("mean_teacher"), start=second, seeds=None
        ),
        "recipe": BestOf("Default recipe", (first, second, "mean_teacher")),
        "oracle": Row("Oracle", named("oracle"), seeds=None, paper=oracle),
    }
