<?php
// SPDX-License-Identifier: GPL-3.0-or-later

/**
 * A folder behind PHP's own web server, on an address of this machine, until the tests end.
 */
final class served {
    /** @var string without trailing slash */
    public $url;

    private $process;

    public function __construct(string $folder) {
        $address = self::free_address();
        $this->url = "http://$address";
        // Whatever it says of its requests is kept, to be read when something went wrong.
        $output = ['file', "$folder/server.log", 'a'];
        $this->process = proc_open([PHP_BINARY, '-S', $address, '-t', $folder], [1 => $output, 2 => $output], $pipes);
        $this->wait($address);
    }

    public function stop(): void {
        proc_terminate($this->process, 9);
        proc_close($this->process);
    }

    private static function free_address(): string {
        $asked = stream_socket_server('tcp://127.0.0.1:0');
        $address = stream_socket_get_name($asked, false);
        fclose($asked);
        return $address;
    }

    private function wait(string $address): void {
        for ($tries = 0; $tries < 600; $tries++) {
            if (self::answers($address)) {
                return;
            }
            usleep(50000);
        }
        $this->stop();
        throw new \Exception("PHP's web server does not answer");
    }

    private static function answers(string $address): bool {
        try {
            fclose(stream_socket_client("tcp://$address", $number, $message, 1));
        } catch (\ErrorException $exception) {
            return false;
        }
        return true;
    }
}
