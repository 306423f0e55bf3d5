from tests.support.storage import on_every_remote
@on_every_remote
def test_r(shop):
    shop.remote.rclone("rcat", shop.remote.path("db/x"), content=b"hello" * 2_000_000)
    assert shop.names() == ["x"]
