"""The embedded models of the package: they speak their tasks' format and know what they were made to know."""

import pytest

import bases
from rationem.world import BASES
from rationem.world.bases import find


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BASES))
def test_the_model_of_the_package_can_do_what_it_should(name):
    bases.check(name, find(BASES[name]))
