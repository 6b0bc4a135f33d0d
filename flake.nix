{
  description = "hyperhive: a supervisor of Claude agents, each in a container of its own";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      each = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      packages = each (pkgs: rec {
        hyperhive = pkgs.python3.pkgs.callPackage ./nix/daemon.nix { };
        harness = pkgs.python3.pkgs.callPackage ./nix/harness.nix { };
        default = hyperhive;
      });

      nixosModules = {
        default = import ./nix/module.nix {
          packages = self.packages;
          flake = "path:${self}";
        };
        harness-base = import ./nix/harness-base.nix { packages = self.packages; };
      };

      checks = each (pkgs: {
        vm = pkgs.testers.runNixOSTest (import ./nix/test.nix { module = self.nixosModules.default; });
      });
    };
}
