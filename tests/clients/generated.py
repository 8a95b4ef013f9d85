"""The generated clients pulpcore-client and pulp-file-client against a running server, resource by resource.

Usage: generated.py ORIGIN PASSWORD DIRECTORY  (DIRECTORY is empty and ours)
"""

import functools
import hashlib
import http.server
import pathlib
import sys
import threading
import time
import unittest
import urllib.request

from pulpcore.client import pulp_file, pulpcore

ORIGIN, PASSWORD, DIRECTORY = sys.argv[1:4]
UPSTREAM = pathlib.Path(DIRECTORY) / "upstream"
MIB = 1024 * 1024


def client(package):
    configuration = package.Configuration(host=ORIGIN, username="admin", password=PASSWORD)
    configuration.safe_chars_for_path_param = "/"
    return package.ApiClient(configuration)


CORE, FILE = client(pulpcore), client(pulp_file)
TASKS = pulpcore.TasksApi(CORE)
REPOSITORIES = pulp_file.RepositoriesFileApi(FILE)
VERSIONS = pulp_file.RepositoriesFileVersionsApi(FILE)
CONTENT = pulp_file.ContentFilesApi(FILE)
REMOTES = pulp_file.RemotesFileApi(FILE)
PUBLICATIONS = pulp_file.PublicationsFileApi(FILE)
DISTRIBUTIONS = pulp_file.DistributionsFileApi(FILE)


def done(answer):
    """Waits for the task of an answer; gives it."""
    deadline = time.monotonic() + 60
    while True:
        task = TASKS.read(answer.task)
        if task.state in ("completed", "failed", "canceled"):
            break
        assert time.monotonic() < deadline, task
        time.sleep(0.02)
    assert task.state == "completed", task.error
    return task


def created(answer, kind=""):
    """What the task of an answer made, of this kind."""
    return next(href for href in done(answer).created_resources if kind in href)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def unit(path, text):
    file = (path.replace("/", "-"), text.encode())
    return CONTENT.upload(relative_path=path, file=file).pulp_href


def serve_upstream(files):
    """Serves these files and their manifest; gives the address of the manifest."""
    UPSTREAM.mkdir(exist_ok=True)
    lines = []
    for path, data in files.items():
        target = UPSTREAM / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        lines.append(f"{path},{sha256(data)},{len(data)}\n")
    (UPSTREAM / "PULP_MANIFEST").write_text("".join(lines))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(UPSTREAM))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/PULP_MANIFEST"


class Resources(unittest.TestCase):
    def test_schedules(self):
        api = pulpcore.TaskSchedulesApi(CORE)
        schedule = api.list(name="Clean up stale content periodically").results[0]
        self.assertEqual(schedule.dispatch_interval, "1 00:00:00")
        self.assertEqual(api.read(schedule.pulp_href).task_name, "pulpcore.app.tasks.orphan.orphan_cleanup")
        self.assertIsNone(schedule.last_task)

    def test_status(self):
        status = pulpcore.StatusApi(CORE).status_read()
        self.assertIn("file", [version.component for version in status.versions])
        self.assertTrue(status.database_connection.connected)

    def test_workers(self):
        self.assertGreaterEqual(pulpcore.WorkersApi(CORE).list(online=True).count, 1)

    def test_artifacts(self):
        api = pulpcore.ArtifactsApi(CORE)
        data = b"an artifact"
        made = api.create(file=("a", data), sha256=sha256(data))
        self.assertEqual(api.read(made.pulp_href).size, len(data))
        self.assertEqual(api.list(sha256=sha256(data)).results[0].prn, made.prn)
        with self.assertRaises(pulpcore.ApiException) as refused:
            api.create(file=("a", b"other"), sha256=sha256(data))
        self.assertEqual(refused.exception.status, 400)

    def test_uploads(self):
        api = pulpcore.UploadsApi(CORE)
        data = bytes(range(256)) * 1024
        upload = api.create(pulpcore.Upload(size=len(data))).pulp_href
        half = len(data) // 2
        for start, chunk in ((half, data[half:]), (0, data[:half])):
            span = f"bytes {start}-{start + len(chunk) - 1}/{len(data)}"
            api.update(content_range=span, upload_href=upload, file=("c", chunk), sha256=sha256(chunk))
        self.assertEqual({c.offset for c in api.read(upload).chunks}, {0, half})
        self.assertIn(upload, [u.pulp_href for u in api.list().results])
        artifact = created(api.commit(upload, pulpcore.UploadCommit(sha256=sha256(data))))
        self.assertEqual(pulpcore.ArtifactsApi(CORE).read(artifact).sha256, sha256(data))
        spare = api.create(pulpcore.Upload(size=1)).pulp_href
        api.delete(spare)
        with self.assertRaises(pulpcore.ApiException) as gone:
            api.read(spare)
        self.assertEqual(gone.exception.status, 404)

    def test_content(self):
        href = created(CONTENT.create(relative_path="content/a", file=("a", b"content a")), "content/")
        found = CONTENT.list(relative_path="content/a").results
        self.assertEqual([one.pulp_href for one in found], [href])
        self.assertEqual(CONTENT.read(href).sha256, sha256(b"content a"))
        CONTENT.set_label(href, pulp_file.SetLabel(key="k", value="v"))
        self.assertEqual(CONTENT.list(pulp_label_select="k=v").count, 1)
        CONTENT.unset_label(href, pulp_file.UnsetLabel(key="k"))
        everything = pulpcore.ContentApi(CORE).list(pulp_href__in=[href]).results
        self.assertEqual([one.pulp_href for one in everything], [href])

    def test_repositories(self):
        made = REPOSITORIES.create(pulp_file.FileFileRepository(name="repositories", pulp_labels={"a": "b"}))
        href = made.pulp_href
        self.assertEqual(REPOSITORIES.list(name="repositories").results[0].prn, made.prn)
        REPOSITORIES.set_label(href, pulp_file.SetLabel(key="k", value=None))
        self.assertEqual(REPOSITORIES.read(href).pulp_labels, {"a": "b", "k": None})
        REPOSITORIES.unset_label(href, pulp_file.UnsetLabel(key="k"))
        done(REPOSITORIES.partial_update(href, pulp_file.PatchedfileFileRepository(description="d")))
        done(REPOSITORIES.update(href, pulp_file.FileFileRepository(name="repositories-2")))
        self.assertEqual(REPOSITORIES.read(href).name, "repositories-2")
        listed = pulpcore.RepositoriesApi(CORE).list(name="repositories-2")
        self.assertEqual(listed.results[0].pulp_href, href)
        done(REPOSITORIES.delete(href))
        self.assertEqual(REPOSITORIES.list(name="repositories-2").count, 0)

    def test_versions(self):
        repository = REPOSITORIES.create(pulp_file.FileFileRepository(name="versions")).pulp_href
        units = [unit(f"versions/{n}", f"versions {n}") for n in range(3)]
        for part in units:
            body = pulp_file.RepositoryAddRemoveContent(add_content_units=[part])
            done(REPOSITORIES.modify(repository, body))
        listed = VERSIONS.list(repository)
        self.assertEqual([version.number for version in listed.results], [3, 2, 1, 0])
        newest = VERSIONS.read(REPOSITORIES.read(repository).latest_version_href)
        self.assertEqual(newest.content_summary.present["file.file"]["count"], 3)
        self.assertEqual(CONTENT.list(repository_version=newest.pulp_href).count, 3)
        self.assertEqual(CONTENT.list(repository_version_added=newest.prn).count, 1)
        done(VERSIONS.repair(newest.pulp_href, pulp_file.Repair(verify_checksums=True)))
        done(VERSIONS.delete(listed.results[1].pulp_href))
        self.assertEqual([version.number for version in VERSIONS.list(repository).results], [3, 1, 0])
        everywhere = pulpcore.RepositoryVersionsApi(CORE).list(content=units[0])
        self.assertEqual({version.number for version in everywhere.results}, {3, 1})

    def test_remotes(self):
        body = pulp_file.FileFileRemote(name="remotes", url="http://127.0.0.1:1/PULP_MANIFEST", password="p", username="u")
        href = REMOTES.create(body).pulp_href
        read = REMOTES.read(href)
        self.assertFalse(hasattr(read, "password") and read.password)
        self.assertIn("password", [field.name for field in read.hidden_fields if field.is_set])
        REMOTES.set_label(href, pulp_file.SetLabel(key="k", value="v"))
        self.assertEqual(REMOTES.list(pulp_label_select="k").results[0].pulp_href, href)
        REMOTES.unset_label(href, pulp_file.UnsetLabel(key="k"))
        done(REMOTES.partial_update(href, pulp_file.PatchedfileFileRemote(max_retries=1)))
        url = "http://127.0.0.1:1/OTHER"
        done(REMOTES.update(href, pulp_file.FileFileRemote(name="remotes", url=url)))
        self.assertEqual(REMOTES.read(href).url, url)
        self.assertEqual(pulpcore.RemotesApi(CORE).list(name="remotes").count, 1)
        done(REMOTES.delete(href))
        self.assertEqual(REMOTES.list(name="remotes").count, 0)

    def test_sync_publish_distribute(self):
        files = {f"up/{n}.iso": f"upstream {n}".encode() for n in range(5)}
        url = serve_upstream(files)
        for policy in ("immediate", "on_demand", "streamed"):
            remote = REMOTES.create(pulp_file.FileFileRemote(name=policy, url=url, policy=policy)).pulp_href
            repository = REPOSITORIES.create(pulp_file.FileFileRepository(name=policy, remote=remote)).pulp_href
            version = created(REPOSITORIES.sync(repository, pulp_file.FileRepositorySyncURL()), "/versions/")
            self.assertEqual(CONTENT.list(repository_version=version).count, len(files))
            publication = created(
                PUBLICATIONS.create(pulp_file.FileFilePublication(repository_version=version)), "publications/"
            )
            self.assertEqual(PUBLICATIONS.read(publication).repository_version, version)
            distribution = created(
                DISTRIBUTIONS.create(
                    pulp_file.FileFileDistribution(name=policy, base_path=f"d/{policy}", publication=publication)
                ),
                "distributions/",
            )
            base_url = DISTRIBUTIONS.read(distribution).base_url
            base_url = base_url if base_url.startswith("http") else ORIGIN + base_url
            for path, data in files.items():
                with urllib.request.urlopen(base_url + path) as answer:
                    self.assertEqual(answer.read(), data)
            with urllib.request.urlopen(base_url + "PULP_MANIFEST") as answer:
                self.assertEqual(len(answer.read().splitlines()), len(files))
            self.assertEqual(
                [one.pulp_href for one in PUBLICATIONS.list(repository=repository).results], [publication]
            )
            self.assertEqual(pulpcore.DistributionsApi(CORE).list(name=policy).count, 1)
            self.assertEqual(pulpcore.PublicationsApi(CORE).list(repository=repository).count, 1)
            done(DISTRIBUTIONS.partial_update(distribution, pulp_file.PatchedfileFileDistribution(publication="")))
            DISTRIBUTIONS.set_label(distribution, pulp_file.SetLabel(key="k", value="v"))
            DISTRIBUTIONS.unset_label(distribution, pulp_file.UnsetLabel(key="k"))
            body = pulp_file.FileFileDistribution(name=policy, base_path=f"e/{policy}", repository=repository)
            done(DISTRIBUTIONS.update(distribution, body))
            self.assertEqual(DISTRIBUTIONS.list(base_path=f"e/{policy}").count, 1)
            done(DISTRIBUTIONS.delete(distribution))
            PUBLICATIONS.delete(publication)
            self.assertEqual(PUBLICATIONS.list(repository_version=version).count, 0)

    def test_exporters(self):
        exporters, exports = pulpcore.ExportersFilesystemApi(CORE), pulpcore.ExportersFilesystemExportsApi(CORE)
        repository = REPOSITORIES.create(pulp_file.FileFileRepository(name="exporters")).pulp_href
        body = pulp_file.RepositoryAddRemoveContent(add_content_units=[unit("exported/a", "exported a")])
        version = created(REPOSITORIES.modify(repository, body))
        path = pathlib.Path(DIRECTORY) / "exported"
        exporter = exporters.create(pulpcore.FilesystemExporter(name="e", path=str(path), method="hardlink")).pulp_href
        self.assertEqual(exporters.list(name="e").results[0].pulp_href, exporter)
        done(exporters.partial_update(exporter, pulpcore.PatchedFilesystemExporter(method="write")))
        self.assertEqual(exporters.read(exporter).method, "write")
        export = created(exports.create(exporter, pulpcore.FilesystemExport(repository_version=version)))
        self.assertEqual((path / "exported/a").read_bytes(), b"exported a")
        read = exports.read(export)
        self.assertEqual(read.exported_resources, [version])
        self.assertEqual(TASKS.read(read.task).created_resources, [export])
        self.assertEqual([one.prn for one in exports.list(exporter).results], [read.prn])
        exports.delete(export)
        self.assertEqual(exports.list(exporter).count, 0)
        body = pulpcore.FilesystemExporter(name="e2", path=str(path / "below"))
        done(exporters.update(exporter, body))
        done(exporters.delete(exporter))
        self.assertEqual(exporters.list().count, 0)
        self.assertTrue((path / "exported/a").exists())

    def test_tasks(self):
        unit("tasks/a", "tasks a")
        listed = TASKS.list(state="completed", limit=5)
        if listed.results:
            self.assertEqual(TASKS.read(listed.results[0].pulp_href).prn, listed.results[0].prn)
        done(TASKS.purge(pulpcore.Purge(finished_before="2000-01-01T00:00:00Z")))

    def test_orphans(self):
        href = unit("orphans/a", "orphans a")
        body = pulpcore.OrphansCleanup(content_hrefs=[href], orphan_protection_time=0)
        done(pulpcore.OrphansCleanupApi(CORE).cleanup(body))
        self.assertEqual(CONTENT.list(relative_path="orphans/a").count, 0)

    def test_accounts(self):
        users, groups, roles = pulpcore.UsersApi(CORE), pulpcore.GroupsApi(CORE), pulpcore.RolesApi(CORE)
        made = users.create(pulpcore.User(username="generated", password="a fine long sentence"))
        user = made.pulp_href
        self.assertTrue(made.hidden_fields[0].is_set)
        self.assertEqual(users.partial_update(user, pulpcore.PatchedUser(first_name="G")).first_name, "G")
        self.assertEqual(users.update(user, pulpcore.User(username="generated", is_staff=True)).is_staff, True)
        self.assertEqual(users.list(username="generated").results[0].prn, users.read(user).prn)

        group = groups.create(pulpcore.Group(name="generated")).pulp_href
        members = pulpcore.GroupsUsersApi(CORE)
        members.create(group, pulpcore.GroupUser(username="generated"))
        self.assertEqual(members.list(group).count, 1)
        self.assertEqual(users.read(user).groups[0].pulp_href, group)
        members.delete(f"{group}users/{made.id}/")
        self.assertEqual(groups.partial_update(group, pulpcore.PatchedGroup(name="other")).name, "other")
        self.assertEqual(groups.list(name="other").results[0].pulp_href, groups.read(group).pulp_href)

        body = pulpcore.Role(name="generated", permissions=["file.view_filerepository"])
        role = roles.create(body).pulp_href
        self.assertEqual(roles.partial_update(role, pulpcore.PatchedRole(description="d")).description, "d")
        self.assertFalse(roles.read(role).locked)
        self.assertEqual(roles.list(contains_permission=["file.view_filerepository"], locked=False).count, 1)
        repository = REPOSITORIES.create(pulp_file.FileFileRepository(name="accounts")).pulp_href
        for api, holder, new in (
            (pulpcore.UsersRolesApi(CORE), user, pulpcore.UserRole),
            (pulpcore.GroupsRolesApi(CORE), group, pulpcore.GroupRole),
        ):
            held = api.create(holder, new(role="generated", content_object=repository))
            self.assertEqual(api.read(held.pulp_href).content_object, repository)
            self.assertEqual(api.list(holder, role__in=["generated"]).count, 1)
            api.delete(held.pulp_href)
        login = pulpcore.LoginApi(CORE)
        self.assertEqual(login.login().username, "admin")
        self.assertEqual(login.login_read().username, "admin")
        self.assertEqual(login.login_update(pulpcore.PatchedLoginUpdate(last_name="A")).last_name, "A")
        login.logout()
        roles.delete(role)
        groups.delete(group)
        users.delete(user)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
