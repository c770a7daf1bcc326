from __future__ import annotations

import sys

import pytest

from rosearch.errors import RegistryError
from rosearch.registry import Registry, plug_in_modules


def make(check=None) -> Registry:
    return Registry("thing", group="rosearch.tests.things", check=check)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a package with entry points of the tests' group, for this test only."""

    def install(entry_points: dict[str, str], source: str) -> None:
        (tmp_path / "plugged_things.py").write_text(source)
        info = tmp_path / "plugged_things-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged-things\nVersion: 1\n")
        lines = [f"{name} = {value}" for name, value in entry_points.items()]
        text = "\n".join(["[rosearch.tests.things]", *lines])
        (info / "entry_points.txt").write_text(text + "\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "plugged_things", raising=False)

    return install


def test_modules_of_plug_ins_are_known():
    namespace = {"__name__": "a_package.things"}
    exec("class Thing: pass", namespace)
    assert "a_package.things" not in plug_in_modules()
    make().register("thing")(namespace["Thing"])
    assert "a_package.things" in plug_in_modules()
    assert not any(name.startswith("rosearch") for name in plug_in_modules())


def test_register_get_names_and_unregister():
    registry = make()

    @registry.register("b")
    def second() -> int:
        return 2

    registry.register("a")(first := object())
    assert registry.get("b") is second
    assert registry.names() == ("a", "b")
    assert repr(registry) == "Registry('thing': a, b)"
    registry.unregister("a")
    assert registry.names() == ("b",)
    assert first is not None
    with pytest.raises(RegistryError, match="no thing named 'a'"):
        registry.unregister("a")


def test_first_name_of_an_object_is_kept(installed):
    registry = Registry(
        "thing", group="rosearch.tests.things", on_register=lambda name, item: item.append(name)
    )
    registry.register("zeta")(item := [])
    registry.register("alpha")(item)
    assert registry.name_of(item) == "zeta"
    assert item == ["zeta"]
    installed({"plugged": "plugged_things:thing"}, "thing = []")
    import plugged_things

    assert registry.name_of(plugged_things.thing) == "plugged"
    assert registry.name_of([]) is None


def test_unknown_name_lists_what_there_is_and_suggests():
    registry = make()
    with pytest.raises(RegistryError, match="Known: none"):
        registry.get("attention")
    registry.register("attention")(object())
    with pytest.raises(RegistryError, match=r"'atention'. Did you mean 'attention'\? Known"):
        registry.get("atention")
    with pytest.raises(KeyError):
        registry.get("x")


def test_a_name_is_never_overwritten_in_silence():
    registry = make()
    thing = object()
    registry.register("a")(thing)
    registry.register("a")(thing)  # the same again is no conflict
    with pytest.raises(RegistryError, match="is already taken by"):
        registry.register("a")(object())
    assert registry.get("a") is thing


def test_a_reloaded_module_replaces_its_own_definition():
    registry = make()
    old, new = (type("Thing", (), {"__module__": "notebook"}) for _ in range(2))
    registry.register("a")(old)
    registry.register("a")(new)
    assert registry.get("a") is new

    def local():
        class Thing:
            pass

        return Thing

    registry.register("b")(local())
    with pytest.raises(RegistryError, match="is already taken"):  # two classes that only look alike
        registry.register("b")(local())


@pytest.mark.parametrize("name", ["", None, 3])
def test_a_name_is_a_non_empty_string(name):
    with pytest.raises(RegistryError, match="non-empty string"):
        make().register(name)


def test_the_check_refuses_objects_of_another_kind():
    registry = make(lambda item: None if isinstance(item, int) else "it is no int")
    registry.register("one")(1)
    with pytest.raises(RegistryError, match="'x' cannot be the thing 'two': it is no int"):
        registry.register("two")("x")
    assert registry.names() == ("one",)


def test_entry_points_load_when_an_unknown_name_is_asked_for(installed):
    installed({"far": "plugged_things:far"}, "far = 'from afar'\n")
    registry = make()
    registry.register("near")(object())
    registry.get("near")
    assert "plugged_things" not in sys.modules
    assert registry.get("far") == "from afar"
    assert registry.names() == ("far", "near")


def test_a_broken_entry_point_is_named(installed):
    installed({"far": "plugged_things:far"}, "raise OSError('disk on fire')\n")
    message = r"plug-in 'far' \(plugged_things:far\).*disk on fire"
    registry = make()
    with pytest.warns(RuntimeWarning, match=message), pytest.raises(RegistryError, match=message):
        registry.get("far")
    with pytest.raises(RegistryError, match=message):
        registry.get("far")


def test_a_broken_entry_point_hides_no_other(installed):
    installed({"bad": "plugged_things:missing", "good": "plugged_things:good"}, "good = 'here'\n")
    registry = make()
    with pytest.warns(RuntimeWarning, match="plug-in 'bad'"):
        assert registry.names() == ("good",)
    assert registry.get("good") == "here"


def test_an_entry_point_faces_the_check_and_the_taken_names(installed):
    installed({"near": "plugged_things:far"}, "far = 'from afar'\n")
    registry = make()
    ours = object()
    registry.register("near")(ours)
    with pytest.warns(RuntimeWarning, match="is already taken"):
        registry.names()
    assert registry.get("near") is ours
