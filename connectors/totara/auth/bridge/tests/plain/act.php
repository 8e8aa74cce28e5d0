<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * One thing done at a test site by a process of its own (see totara/act.php).
 */
final class act {
    private $process;
    private $output;

    public function __construct(site $site, string $what, string $input = '') {
        $command = [PHP_BINARY, __DIR__ . '/totara/act.php', $site->folder, $what];
        $this->process = proc_open($command, [['pipe', 'r'], ['pipe', 'w'], ['redirect', 1]], $pipes);
        fwrite($pipes[0], $input);
        fclose($pipes[0]);
        $this->output = $pipes[1];
    }

    /** Wait for its end; what it said. */
    public function end(): string {
        $said = stream_get_contents($this->output);
        fclose($this->output);
        check(proc_close($this->process) === 0, $said);
        return $said;
    }
}
