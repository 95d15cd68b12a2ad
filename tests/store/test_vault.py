import pytest

from b24app.store.vault import VERSION, CannotOpen, Place, Vault, fingerprint

OLD, NEW = b"o" * 32, b"n" * 32
HERE = Place("user_tokens", "portal/7", "access")


def test_what_was_sealed_for_a_place_opens_there():
    vault = Vault([NEW])

    assert vault.open(vault.seal("secret", HERE), HERE) == "secret"


def test_the_same_secret_looks_different_each_time_and_never_like_itself():
    vault = Vault([NEW])

    first, second = vault.seal("secret-token", HERE), vault.seal("secret-token", HERE)

    assert first != second
    assert b"secret-token" not in first


@pytest.mark.parametrize("elsewhere", [
    Place("user_tokens", "portal/8", "access"), Place("user_tokens", "portal/7", "refresh"),
    Place("users", "portal/7", "access"),
])  # fmt: skip
def test_a_ciphertext_moved_to_another_row_or_column_does_not_open(elsewhere: Place):
    vault = Vault([NEW])
    sealed = vault.seal("secret", HERE)

    with pytest.raises(CannotOpen):
        vault.open(sealed, elsewhere)


def test_an_older_key_still_opens_and_is_told_from_the_newest():
    sealed = Vault([OLD]).seal("secret", HERE)
    rotated = Vault([NEW, OLD])

    assert rotated.open(sealed, HERE) == "secret"
    assert not sealed.startswith(VERSION + rotated.newest)
    assert rotated.seal("secret", HERE).startswith(VERSION + rotated.newest)


@pytest.mark.parametrize("broken", [b"", b"\x01", b"\x02" + b"x" * 60, b"\x01" + b"x" * 60])
def test_bytes_that_are_no_ciphertext_of_ours_are_refused(broken: bytes):
    with pytest.raises(CannotOpen):
        Vault([NEW]).open(broken, HERE)


def test_a_changed_ciphertext_does_not_open():
    vault = Vault([NEW])
    sealed = bytearray(vault.seal("secret", HERE))
    sealed[-1] ^= 1

    with pytest.raises(CannotOpen):
        vault.open(bytes(sealed), HERE)


def test_a_fingerprint_is_stable_and_hides_the_token():
    assert fingerprint("token") == fingerprint("token")
    assert "token" not in fingerprint("token")
