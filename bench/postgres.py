"""A cluster of PostgreSQL of a comparison's own, filled by pgbench."""

import glob
import os
import subprocess

import pairs as shared

PORT = "55433"
SETTINGS = f"port={PORT}\nlisten_addresses=''\nshared_buffers=128MB\n"


def programs():
    """The directory of the newest PostgreSQL's programs; None: it is not installed."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    return found[-1] if found else None


class Cluster:
    """In place, which the user postgres may enter: as root, the cluster runs as that user."""

    def __init__(self, place, data="pgdata", settings="", initdb=()):
        self.programs, self.place = programs(), place
        self.data = os.path.join(place, data)
        os.chmod(place, 0o777)
        self.run("initdb", "-D", self.data, "-A", "trust", *initdb)
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="utf-8") as file:
            file.write(f"{SETTINGS}unix_socket_directories='{place}'\n{settings}")

    def as_user(self, *command):
        return [*(["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []), *command]

    def command(self, program, *options):
        return self.as_user(os.path.join(self.programs, program), *options)

    def run(self, program, *options):
        done = subprocess.run(self.command(program, *options), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, cwd=self.place)
        if done.returncode != 0:
            raise shared.RunFailed(f"{program}: exit {done.returncode}\n{done.stdout}")
        return done.stdout

    def start(self):
        self.run("pg_ctl", "-D", self.data, "-l", os.path.join(self.place, "log"), "-w", "start")

    def is_running(self):
        return os.path.exists(os.path.join(self.data, "postmaster.pid"))

    def stop(self, how="fast"):
        """It may have been told to stop already, and do so meanwhile."""
        if not self.is_running():
            return
        try:
            self.run("pg_ctl", "-D", self.data, "-m", how, "-w", "stop")
        except shared.RunFailed:
            if self.is_running():
                raise

    def fill(self, scale):
        self.run("createdb", "-h", self.place, "-p", PORT, "bench")
        self.pgbench("-i", "-q", "-s", str(scale))

    def pgbench(self, *options):
        return self.run("pgbench", "-h", self.place, "-p", PORT, *options, "bench")

    def sql(self, statement):
        self.run("psql", "-q", "-h", self.place, "-p", PORT, "-c", statement, "bench")
