# What runs in an agent's container: of ../harness alone, so that a change of the host rebuilds no agent.
{
  lib,
  python,
  makeWrapper,
  stdenvNoCC,
  attrs,
  claude-agent-sdk,
  mcp,
}:

stdenvNoCC.mkDerivation {
  name = "hyperhive-harness";
  src = lib.fileset.toSource {
    root = ../harness;
    fileset = ../harness;
  };

  nativeBuildInputs = [ makeWrapper ];
  installPhase =
    let
      environment = python.withPackages (_: [
        attrs
        claude-agent-sdk
        mcp
      ]);
    in
    ''
      mkdir -p $out/lib/harness
      cp -r . $out/lib/harness/
      makeWrapper ${environment}/bin/python $out/bin/hyperhive-harness \
        --add-flags "-sP -m harness" --set PYTHONPATH $out/lib
    '';

  meta = {
    description = "The harness of hyperhive's agents";
    license = lib.licenses.mit;
    mainProgram = "hyperhive-harness";
  };
}
