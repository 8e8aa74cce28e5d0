<?php
/**
 * The names of PHP's tokens in a file, one a line. Argument: the file.
 */

foreach ( token_get_all( file_get_contents( $argv[1] ) ) as $token ) {
	echo is_array( $token ) ? token_name( $token[0] ) . ' ' . str_replace( "\n", ' ', $token[1] ) : $token, "\n";
}
