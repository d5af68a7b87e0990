//! `larder completions`: what a shell needs to complete commands and options, made from their definitions.

use crate::failure::{Exit, Outcome};
use crate::output::Output;
use clap::Args;
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  larder completions bash > ~/.local/share/bash-completion/completions/larder
  larder completions zsh > ~/.zfunc/_larder                    where fpath has ~/.zfunc
  larder completions fish > ~/.config/fish/completions/larder.fish";

/// Print completions for a shell.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct Completions {
    /// Which shell.
    shell: Shell,
}

impl Completions {
    pub fn run(&self, mut command: clap::Command) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "larder", &mut script);
        let mut output = Output::new(false);
        output.raw(&script)?;
        output.flush()?;
        Ok(Exit::Done)
    }
}
