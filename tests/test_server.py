"""The local page: what it answers, what it refuses, and that it goes on serving."""

import base64
import contextlib
import hashlib
import http.client
import io
import shutil
import socket
import struct
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import skimage.data
import uvicorn
from model_samples import CLASSES, SCORES, write_model
from PIL import Image
from starlette.testclient import TestClient

from mer_core.errors import UserError
from mer_core.inference import load_model, server

BASE = "http://127.0.0.1"


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def claimed_png(width, height):
    """The header of a picture of so many pixels, with next to nothing behind it."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    write_model(folder, simulated=["casme2"])
    return load_model(folder)


@pytest.fixture
def client(model):
    return TestClient(server.build_app(model), base_url=BASE)


@pytest.fixture(scope="module")
def face():
    return png(skimage.data.astronaut())


@pytest.fixture(scope="module")
def frames():
    astronaut = skimage.data.astronaut()
    y, x = np.mgrid[:512, :512].astype(np.float32)
    hump = np.exp(-(((x - 223) / 22) ** 2 + ((y - 163) / 14) ** 2)).astype(np.float32)
    return [cv2.remap(astronaut, x, y - pull * hump, cv2.INTER_LINEAR) for pull in (0, 3, 6, 3, 0)]


def post(client, *files, **options):
    return client.post("/judge", files=[("files", file) for file in files], **options)


def test_the_page_holds_everything_and_may_run_nothing_else(client):
    page = client.get("/")
    assert page.status_code == 200 and "says nothing" in page.text.replace("say nothing", "says nothing")
    policy = page.headers["content-security-policy"]
    for tag in ("script", "style"):
        body = page.text.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "http" not in policy
    assert "https://" not in page.text and 'src="' not in page.text


def test_the_page_says_whose_figures_those_of_the_folds_are(tmp_path):
    for shared, said in (
        ([], "On people that it"),
        ([("hs", "nir")], "On datasets that it had not seen, some of"),
    ):
        write_model(tmp_path, shared=shared)
        page = TestClient(server.build_app(load_model(tmp_path)), base_url=BASE).get("/").text
        assert f"{said} " in page and ("On people" in page) is (not shared)


def test_the_page_tells_what_is_not_known(tmp_path):
    """No interval, and a class that nobody showed in the folds."""
    scores = SCORES | {"low": None, "high": None}
    scores["per_class"] = SCORES["per_class"] | {"surprise": SCORES["per_class"]["surprise"] | {"support": 0}}
    write_model(tmp_path, scores=scores)
    html = TestClient(server.build_app(load_model(tmp_path)), base_url=BASE).get("/").text
    assert "macro-F1 0.400\n(interval none); a constant" in html
    assert "happiness 75 %, others 40 %." in html


def test_a_picture_is_judged(client, face):
    answer = post(client, ("me.png", face)).json()
    [found] = answer["faces"]
    assert set(found["probabilities"]) == set(CLASSES) and found["answer"] in CLASSES
    assert found["crop"].startswith("data:image/png;base64,") and found["attention"]
    assert any("simulated" in note for note in found["notes"])


def test_a_clip_is_judged_with_its_curve(client, frames):
    # Handed over in another order than that of their numbers.
    answer = post(client, *((f"f{n}.png", png(frames[n])) for n in (3, 0, 4, 1, 2))).json()
    assert answer["frames"] == 5 and answer["faces"][0]["frame"] in (1, 2, 3)
    assert [one["frame"] for one in answer["curve"]] == [0, 1, 2, 3, 4]
    assert answer["faces"][0]["spotted"] == ["apex"] and answer["faces"][0]["onset"] is None


@pytest.mark.parametrize(
    ("name", "content", "status", "said"),
    [
        ("x.png", b"", 422, "not a"),
        ("x.png", b"<html>no picture</html>", 422, "not a"),
        ("x.png", claimed_png(29_000, 29_000), 422, "pixels"),
        ("x.png", claimed_png(100, 100), 422, "damaged"),
        ("x.avi", b"RIFF....AVI ", 422, "no frame can be decoded"),
        ("x.exe", b"MZ", 415, "neither image nor video"),
        ("../../etc/passwd", b"x", 415, "neither image nor video"),
        ("", b"x", 400, ""),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(client, face, name, content, status, said):
    answer = post(client, (name, content))
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"] and "/tmp" not in answer.text and "0000" not in answer.text
    assert status != 422 or answer.json()["error"].startswith(name)
    assert post(client, ("me.png", face)).status_code == 200, "it goes on serving"


def test_a_picture_without_a_face_says_so(client):
    answer = post(client, ("wall.png", png(np.full((200, 200, 3), 127, np.uint8))))
    assert answer.status_code == 422 and "no face found" in answer.json()["error"]


def test_a_name_cannot_lead_out_of_the_folder(client, face, tmp_path):
    answer = post(client, (str(tmp_path / "owned.png"), face))
    assert answer.status_code == 200 and not list(tmp_path.iterdir())


def test_too_much_is_refused_before_it_is_read(client, face, monkeypatch):
    monkeypatch.setattr(server, "MAX_BYTES", 1000)
    assert post(client, ("me.png", face)).status_code == 413
    assert client.post("/judge", content=iter([b"x"] * 10)).status_code == 411, "of unknown length"


def test_too_many_files_are_refused(client, monkeypatch):
    monkeypatch.setattr(server, "MAX_FILES", 3)
    small = png(np.zeros((4, 4, 3), np.uint8))
    assert post(client, *((f"{n}.png", small) for n in range(5))).status_code == 400


def test_pictures_of_no_clip_are_refused(client, face, frames):
    small = png(frames[0][:256, :256])
    answer = post(client, ("a.png", face), ("b.png", small))
    assert answer.status_code == 422 and answer.json()["error"].startswith("b.png: not of one clip")
    answer = post(client, ("a.avi", b"RIFF"), ("b.avi", b"RIFF"))
    assert answer.status_code == 422 and "a video among them; give it alone" in answer.json()["error"]


@pytest.mark.parametrize(
    "parts",
    [
        [("files", ("9" * 5000 + ".png", b"x"))],  # more digits than Python makes a number of
        [("files", ("x.png\r\nX-Header: y", b"x"))],
        [("files", (f"{n}.png", b"x")) for n in range(1000)],
        [("others", ("x.png", b"x"))],
    ],
)
def test_strange_forms_are_refused_in_a_sentence(client, face, parts):
    answer = client.post("/judge", files=parts)
    assert 400 <= answer.status_code < 500 and answer.json()["error"]
    assert post(client, ("me.png", face)).status_code == 200


def test_what_nobody_thought_of_is_said_in_a_sentence(model, face, monkeypatch):
    client = TestClient(server.build_app(model), base_url=BASE, raise_server_exceptions=False)
    monkeypatch.setattr(server, "_shown", lambda prediction: 1 / 0)
    answer = post(client, ("me.png", face))
    assert answer.status_code == 500 and answer.json()["error"].startswith("the server failed")


@pytest.mark.parametrize("lack", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_a_lack_of_memory_is_said_and_leaves_it_serving(model, face, monkeypatch, lack):
    def fail(*_):
        raise lack

    client = TestClient(server.build_app(model), base_url=BASE, raise_server_exceptions=False)
    with monkeypatch.context() as patch:
        patch.setattr(server, "_shown", fail)
        answer = post(client, ("me.png", face))
    assert answer.status_code == 503 and answer.json()["error"].startswith("out of memory; give a smaller")
    assert post(client, ("me.png", face)).status_code == 200


def test_nothing_is_kept(client, face, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert post(client, ("me.png", face)).status_code == 200
    assert post(client, ("x.png", b"no")).status_code == 422
    assert not list(tmp_path.iterdir())


def test_other_pages_cannot_use_it(client, face):
    for origin, status in (("http://evil.example", 403), (BASE, 200), (None, 200)):
        headers = {"origin": origin} if origin else {}
        assert post(client, ("me.png", face), headers=headers).status_code == status
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400, "a name that leads here"


def test_another_address_asks_for_a_token(model, face):
    client = TestClient(server.build_app(model, "0.0.0.0", token="secret"), base_url="http://lab.example")
    assert client.get("/").status_code == 403
    assert post(client, ("me.png", face)).status_code == 403
    assert client.get("/?token=wrong").status_code == 403
    assert client.get("/?token=secret").status_code == 200
    assert post(client, ("me.png", face)).status_code == 200, "the page hands the token on"


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False)]
)
def test_whose_address_it_is(host, own):
    assert server._is_loopback(host) == own


@pytest.fixture(scope="module")
def served(model):
    """A real server; its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    running = uvicorn.Server(server.settings(server.build_app(model)))
    thread = threading.Thread(target=running.run, args=[[listening]], daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.05)
    yield listening.getsockname()[1]
    running.should_exit = True
    thread.join(10)


def test_ten_thousand_requests_leave_it_serving(served):
    connection = http.client.HTTPConnection("127.0.0.1", served, timeout=60)
    for _ in range(10_000):
        connection.request("GET", "/nowhere")
        response = connection.getresponse()
        response.read()
        assert response.status == 404
    connection.request("GET", "/")
    assert connection.getresponse().status == 200


def test_slow_bodies_are_given_up_and_do_not_block_others(served, face, monkeypatch):
    monkeypatch.setattr(server, "PATIENCE", 1.0)
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", served))) for _ in range(3)]
        for one in slow:
            one.sendall(
                b"POST /judge HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
            )
        connection = http.client.HTTPConnection("127.0.0.1", served, timeout=30)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        for one in slow:
            one.settimeout(30)
            assert b" 408 " in one.recv(100)


def test_slow_uploads_give_way_to_others(served, face):
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", served))) for _ in range(12)]
        for one in slow:
            one.sendall(POST + b"Content-Length: 1000\r\n\r\n--x\r\n")
        assert status(served, uploaded(face)) == b"200"
        slow[0].settimeout(30)
        assert b" 408 " in slow[0].recv(100)


def test_silent_connections_keep_nobody_out(served, monkeypatch):
    monkeypatch.setattr(server, "SILENCE", 0.5)
    with contextlib.ExitStack() as stack:
        for number in range(120):
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", served)))
            if number % 2:
                silent.sendall(b"GET / HTTP/1.1\r\n")  # and no more
        end = time.monotonic() + 20
        while status(served, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") != b"200":
            assert time.monotonic() < end
            time.sleep(0.1)


def status(port, sent):
    """What the server answers to some bytes, to its first blank."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        with contextlib.suppress(ConnectionError):  # hung up before it was all said
            connection.sendall(sent)
        with contextlib.suppress(ConnectionError):
            return connection.recv(100).split(b" ")[1:2][0]
    return b""


def uploaded(face):
    """The request that uploads a picture."""
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="me.png"\r\n\r\n' + face
    body += b"\r\n--x--\r\n"
    return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body


POST = b"POST /judge HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-Flood: 1\r\n" * 100_000, b"400"),
        (b"GET /" + b"a" * 1_000_000, b"400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n", b"400"),
        (POST + b"Content-Length: -1\r\n\r\n", b"400"),
        (POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", b"400"),
        (POST + b"Content-Length: 99999999999\r\n\r\n", b"413"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"411"),
        (POST + b"Content-Length: 5\r\n\r\nhello, and more than was said", b"400"),
    ],
)
def test_strange_requests_are_refused_and_it_goes_on_serving(served, sent, said):
    assert status(served, sent) in (said, b""), "refused, or hung up on"
    assert status(served, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == b"200"


def test_two_at_once_are_both_answered(served, face):
    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(status, [served] * 2, [uploaded(face)] * 2)] == [b"200", b"200"]


def test_a_port_that_is_taken_is_said_in_a_sentence(model, served):
    with pytest.raises(UserError, match=f"127.0.0.1, port {served}: cannot be had"):
        server.serve_model(model, "127.0.0.1", served)


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="the package selenium is not installed")
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if not all(programs):
        pytest.skip("no chromium with chromedriver: the page is not tested in a browser")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    options.add_argument("--use-fake-device-for-media-stream")
    options.add_argument("--use-fake-ui-for-media-stream")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


def wait(browser, condition, seconds=60):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, browser.find_element("id", "state").text
        time.sleep(0.1)
    return found


def test_the_page_in_a_browser(browser, served, face, frames, tmp_path):
    (tmp_path / "me.png").write_bytes(face)
    browser.set_window_size(500, 900)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True},
    )
    browser.get(f"http://127.0.0.1:{served}/")
    for scheme in ("dark", "light"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        shade = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, shade.strip("rgb()").split(","))) < 80) == (scheme == "dark")
    chosen = browser.find_element("id", "files")
    chosen.send_keys(str(tmp_path / "me.png"))
    articles = wait(browser, lambda: browser.find_elements("css selector", "article"))
    assert "simulated" in articles[0].text and "Probabilities" in articles[0].text
    assert browser.find_element("id", "state").get_attribute("aria-live") == "polite"
    pictures = browser.find_elements("css selector", "article img")
    assert len(pictures) == 3 and all(image.get_property("naturalWidth") > 1 for image in pictures)
    wide = browser.execute_script("return document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, "nothing hangs over at 360 pixels"
    for number, frame in enumerate(frames):
        (tmp_path / f"f{number}.png").write_bytes(png(frame))
    browser.execute_script("arguments[0].value = ''", chosen)  # as a click does; keys alone add to the choice
    chosen.send_keys("\n".join(str(tmp_path / f"f{n}.png") for n in range(5)))
    wait(browser, lambda: browser.find_elements("css selector", "svg polyline"))
    scale = browser.execute_script(
        "const s = document.querySelector('svg'); return s.clientWidth / s.viewBox.baseVal.width"
    )
    assert scale > 0.9, "its words are as large as they are written"
    assert [item.text for item in browser.find_elements("css selector", ".key li")] == CLASSES
    assert not [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def test_an_older_answer_does_not_come_late(browser, served):
    browser.get(f"http://127.0.0.1:{served}/")
    said = browser.execute_async_script(
        """
        const done = arguments[0], answers = [];
        const reply = said => new Response(JSON.stringify({ error: said }));
        window.fetch = () => new Promise(resolve => answers.push(resolve));
        const asked = ["a.png", "b.png"].map(name => judge([new File(["x"], name)]));
        answers[1](reply("the second")); asked[1].then(() => answers[0](reply("the first")));
        Promise.all(asked).then(() => done(document.getElementById("state").textContent));
        """
    )
    assert said == "Could not judge it: the second"


def test_the_camera_and_the_keyboard(browser, served):
    browser.get(f"http://127.0.0.1:{served}/")
    chains = pytest.importorskip("selenium.webdriver.common.action_chains").ActionChains
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    for target in ("files", "camera"):
        chains(browser).send_keys(keys.TAB).perform()
        assert browser.switch_to.active_element.get_attribute("id") == target
    chains(browser).send_keys(keys.ENTER).perform()
    shoot = browser.find_element("id", "shoot")
    wait(browser, shoot.is_displayed)
    shoot.click()  # the browser's made-up camera shows nobody
    wait(browser, lambda: "no face found" in browser.find_element("id", "state").text)
