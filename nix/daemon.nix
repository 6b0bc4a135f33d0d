# The daemon: without the harness's tree a change of either would rebuild both.
{
  lib,
  buildPythonApplication,
  hatchling,
  alembic,
  attrs,
  claude-agent-sdk,
  click,
  filelock,
  httptools,
  jmespath,
  markdown-it-py,
  jinja2,
  mcp,
  msgspec,
  rich,
  sqlalchemy,
  starlette,
  structlog,
  uvicorn,
  zstandard,
}:

buildPythonApplication {
  pname = "hyperhive";
  version = (lib.importTOML ../pyproject.toml).project.version;
  pyproject = true;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../hyperhive
      ../harness
      ../migrations
      ../packaging
      ../pyproject.toml
      ../README.md
      ../LICENSE
    ];
  };

  build-system = [ hatchling ];
  dependencies = [
    alembic
    attrs
    claude-agent-sdk
    click
    filelock
    httptools
    jmespath
    markdown-it-py
    jinja2
    mcp
    msgspec
    rich
    sqlalchemy
    starlette
    structlog
    uvicorn
    zstandard
  ];
  # The tests want namespaces, which a build has none of.
  doCheck = false;

  meta = {
    description = "A self-hosted supervisor for a swarm of Claude agents on one Linux host";
    license = lib.licenses.mit;
    mainProgram = "hyperhive";
  };
}
