# A flake in the place of nixpkgs, beside its real library (lib/) and with_lib.nix (nixos.nix): packages are called as nixpkgs
# calls them, by the names that they ask for, and become derivations that nobody can build.
{
  outputs =
    { self }:
    let
      # Nix before 2.14 (Debian 12 has 2.8) cannot say what a path is; its directory can, but for the store itself.
      lib = (import ./lib).extend (
        _: before: {
          filesystem = before.filesystem // {
            pathType = builtins.readFileType or (
              path:
              if baseNameOf (dirOf path) == baseNameOf builtins.storeDir then
                "directory"
              else
                (builtins.readDir (dirOf path)).${baseNameOf path}
            );
          };
        }
      );
      library = import ./nixos.nix { inherit lib; };

      # What it is made of is part of what it is: a source that changes is another derivation.
      drv =
        name: of:
        derivation {
          inherit name;
          system = "x86_64-linux";
          builder = "/nothing";
          of = builtins.toJSON of;
        };
      made =
        given:
        drv (given.pname or given.name) {
          inherit (given) src;
          also = given.dependencies or given.installPhase;
        }
        // {
          inherit (given) meta;
        };

      # The names that nixpkgs has them by, in python3.pkgs and at the top.
      python = lib.genAttrs [
        "hatchling"
        "alembic"
        "attrs"
        "claude-agent-sdk"
        "click"
        "filelock"
        "httptools"
        "jmespath"
        "markdown-it-py"
        "jinja2"
        "mcp"
        "msgspec"
        "rich"
        "sqlalchemy"
        "starlette"
        "structlog"
        "uvicorn"
        "zstandard"
      ] (name: drv name { });
      scope = python // {
        inherit lib;
        buildPythonApplication = made;
        stdenvNoCC.mkDerivation = made;
        makeWrapper = drv "make-wrapper" { };
        python.withPackages = choose: drv "python" (choose python);
      };
      pkgs = library.pkgs // {
        python3.pkgs.callPackage = lib.callPackageWith scope;
        # As far as the nodes: a machine of each is evaluated as a NixOS host is.
        testers.runNixOSTest =
          test:
          drv "vm-test-run-${test.name}" (
            lib.mapAttrs (_: node: library.plain (library.evaluated [ node ]).config.systemd) test.nodes
          );
      };
      system =
        { config, ... }:
        {
          options.system.build.toplevel = lib.mkOption { type = lib.types.package; };
          config.system.build.toplevel = drv "nixos-system" (
            library.plain { inherit (config) systemd environment networking programs; }
          );
        };
    in
    {
      lib = lib // {
        nixosSystem = { modules }: library.evaluated ([ system ] ++ modules);
      };
      legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (_: pkgs);
    };
}
